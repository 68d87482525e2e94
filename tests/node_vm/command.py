"""Runs one command in a guest: the host's side of rootfs/opt/commands.py.

``python -m tests.node_vm.command PORT COMMAND...`` does it by hand; output and exit code are the command's.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import closing

from tests.node_vm.rootfs.opt.commands import CODE, REQUEST, STDERR, STDIN, STDOUT, Connection


def talk(
    port: int,
    argv: Sequence[str],
    heard: Callable[[int, bytes], None],
    stdin: bytes = b"",
    seconds: float | None = None,
) -> int:
    """Runs one command and gives its exit code. Without a time it may take for ever; to leave early ends it.

    Raises OSError and EOFError, for a guest that does not answer or took too long.
    """
    sock = socket.create_connection(("127.0.0.1", port), seconds)
    sock.settimeout(None)
    with closing(Connection(sock)) as connection:
        late = threading.Event()
        watch = threading.Timer(seconds or 0, lambda: (late.set(), connection.end()))
        if seconds:
            watch.start()
        try:
            connection.send(REQUEST, json.dumps({"argv": list(argv)}).encode())
            for start in range(0, len(stdin), 1 << 20):
                connection.send(STDIN, stdin[start : start + (1 << 20)])
            connection.send(STDIN, b"")
            while True:
                kind, data = connection.receive()
                if kind == CODE:
                    return int(data)
                heard(kind, data)
        except (OSError, EOFError):
            if late.is_set():
                raise TimeoutError(f"not done after {seconds} s") from None
            raise
        finally:
            watch.cancel()


def main(port: str, *argv: str) -> int:
    streams = {STDOUT: sys.stdout.buffer, STDERR: sys.stderr.buffer}

    def write(kind: int, data: bytes) -> None:
        streams[kind].write(data)
        streams[kind].flush()

    return talk(int(port), argv, write)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
