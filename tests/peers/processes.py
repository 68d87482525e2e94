"""The agent and its peers as real processes on loopback ports of the kernel's choice, each ended by its own PID.

Nothing here sleeps for a fixed time: a process is ready when its log says where it listens, and every wait ends early
when the process dies.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

READY_S = 20.0
STOP_S = 5.0
TEXT = "text/plain;version=0.0.4"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
LISTENING = r'msg="Listening on" (?:component=web )?address=(\S+)'  # as Prometheus' own programs say it
AGENT_SERVING = r"msg=serving .*url=https?://(\S+)"
REPOSITORY = Path(__file__).resolve().parents[2]


class Process:
    """A process that logs to stderr, kept in a file. ``with`` ends it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        with tempfile.TemporaryFile() as file:
            self._log = os.dup(file.fileno())  # the file lives as long as this descriptor
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=file, env=environment
            )
        self.command = command

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def log(self) -> str:
        size = os.fstat(self._log).st_size
        return os.pread(self._log, size, 0).decode("utf-8", "replace")

    def wait_for(self, pattern: str, seconds: float = READY_S) -> re.Match[str]:
        """The first match in the log. Fails when the process dies or the time is over."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := re.search(pattern, self.log(), re.MULTILINE):
                return found
            if self.ended_within(0.02):
                break
        raise AssertionError(f"{self.command[0]}: no {pattern!r} in its log:\n{self.log()}")

    def ended_within(self, seconds: float) -> bool:
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> int:
        """SIGTERM, and SIGKILL for whoever does not obey. Gives the exit status."""
        if self.process.poll() is None:
            self.terminate()
            if not self.ended_within(STOP_S):
                self.process.kill()
                self.process.wait()
        if self._log >= 0:
            os.close(self._log)
            self._log = -1
        return self.process.returncode

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)


class Served(Process):
    """A process that serves HTTP. ``address`` is (host, port) once it is ready."""

    address: tuple[str, int]

    def listen(self, pattern: str) -> Self:
        """Ready when the log matches; the pattern's group is HOST:PORT."""
        try:
            host, _, port = self.wait_for(pattern)[1].rpartition(":")
        except AssertionError:
            self.stop()
            raise
        self.address = (host, int(port))
        return self

    def get(self, path: str, accept: str = TEXT) -> bytes:
        """The body of a 200. No proxy, no redirect."""
        connection = http.client.HTTPConnection(*self.address, timeout=10)
        connection.sock = self.connect()
        try:
            connection.request("GET", path, headers={"Accept": accept})
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        assert answer.status == 200, (path, answer.status, body)
        return body

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=10)

    def json(self, path: str) -> Any:
        return json.loads(self.get(path, "application/json"))


def start_agent(*flags: str, python: Sequence[str] = ()) -> Served:
    """``headroom agent`` with these flags; ``python`` are options of the interpreter. Logs are logfmt."""
    command = (sys.executable, *python, "-m", "agent.cli", "agent", "--listen", "127.0.0.1:0", *flags)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADROOM_")}
    environment["PYTHONPATH"] = str(REPOSITORY)
    return Served(command, environment).listen(AGENT_SERVING)


def start_node_exporter(program: Path, *flags: str) -> Served:
    """node_exporter as upstream starts it: Debian's build also enables systemd by default."""
    command = (str(program), "--no-collector.systemd", "--web.listen-address=127.0.0.1:0", *flags)
    return Served(command).listen(LISTENING)


def start_prometheus(program: Path, place: Path, config: Mapping[str, Any]) -> Served:
    """Prometheus with a configuration (JSON is YAML) and its storage below ``place``."""
    file = place / "prometheus.yml"
    file.write_text(json.dumps(config))
    command = (
        str(program),
        f"--config.file={file}",
        f"--storage.tsdb.path={place / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    )
    prometheus = Served(command).listen(LISTENING)
    prometheus.wait_for("Server is ready to receive web requests")
    return prometheus
