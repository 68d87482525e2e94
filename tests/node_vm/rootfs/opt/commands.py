"""Runs commands for the host of this guest: one TCP connection is one command.

Both directions are frames of ``>BI`` (kind, length) and a payload. To the guest: one REQUEST, JSON with argv, cwd and
env, then STDIN; an empty one ends it. To the host: STDOUT, STDERR, and at last CODE in decimal. A connection that
breaks kills the command and what it started in its session.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import threading
from typing import IO

PORT = 7777
REQUEST, STDIN, STDOUT, STDERR, CODE = range(5)
FRAME = struct.Struct(">BI")
DRAIN_S = 2.0  # a daemon that the command left behind may hold its stdout


class Connection:
    """Frames over a socket. Threads: any number may send, one receives."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._stream = sock.makefile("rb")
        self._lock = threading.Lock()

    def send(self, kind: int, payload: bytes) -> None:
        with self._lock:
            self._sock.sendall(FRAME.pack(kind, len(payload)) + payload)

    def receive(self) -> tuple[int, bytes]:
        """Raises EOFError when the other side is gone."""
        head = self._stream.read(FRAME.size)
        if len(head) < FRAME.size:
            raise EOFError("connection lost")
        kind, size = FRAME.unpack(head)
        payload = self._stream.read(size)
        if len(payload) < size:
            raise EOFError("connection lost")
        return kind, payload

    def end(self) -> None:
        """Nothing is sent or received any more; whoever is receiving wakes up."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other side was faster

    def close(self) -> None:
        self.end()
        self._stream.close()
        self._sock.close()


def serve(connection: Connection) -> None:
    try:
        request = json.loads(connection.receive()[1])
        process = subprocess.Popen(
            request["argv"],
            cwd=request.get("cwd", "/"),
            env={**os.environ, **request.get("env", {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, EOFError, ValueError, KeyError) as error:
        _answer(connection, STDERR, f"{error}\n".encode())
        _answer(connection, CODE, b"127")
        connection.close()
        return
    threading.Thread(target=_feed, args=(connection, process), daemon=True).start()
    pumps = [
        threading.Thread(target=_pump, args=(connection, kind, stream), daemon=True)
        for kind, stream in ((STDOUT, process.stdout), (STDERR, process.stderr))
    ]
    for pump in pumps:
        pump.start()
    code = process.wait()
    for pump in pumps:
        pump.join(DRAIN_S)
    _answer(connection, CODE, str(code).encode())
    connection.close()


def _feed(connection: Connection, process: subprocess.Popen[bytes]) -> None:
    """Passes stdin on until the connection ends, and the command with it."""
    assert process.stdin is not None
    try:
        while data := connection.receive()[1]:
            _write(process.stdin, data)
        process.stdin.close()
        connection.receive()  # nothing more comes: this waits for the end
    except (OSError, EOFError, ValueError):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def _write(stream: IO[bytes], data: bytes) -> None:
    try:
        stream.write(data)
        stream.flush()
    except OSError:
        pass  # the command does not want to know


def _pump(connection: Connection, kind: int, stream: IO[bytes]) -> None:
    while data := os.read(stream.fileno(), 65536):
        _answer(connection, kind, data)


def _answer(connection: Connection, kind: int, payload: bytes) -> None:
    try:
        connection.send(kind, payload)
    except OSError:
        pass  # nobody is listening any more


def main() -> None:
    listener = socket.create_server(("0.0.0.0", PORT), backlog=64)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=(Connection(sock),), daemon=True).start()


if __name__ == "__main__":
    main()
