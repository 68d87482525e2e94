"""``headroom aggregator`` as a real process, ended by its PID."""

from __future__ import annotations

import http.client
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.peers.processes import AGENT_SERVING, REPOSITORY, Served

DEADLINE_S = 15.0


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Running(Served):
    grpc: str

    def request(self, path: str, **headers: str) -> Answer:
        connection = http.client.HTTPConnection(*self.address, timeout=10)
        try:
            connection.request("GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def node(self, name: str = "worker-1") -> dict[str, Any]:
        """What the API tells of one node; nothing when it does not know it."""
        found: list[dict[str, Any]] = [one for one in self.json("/api/v1/nodes")["nodes"] if one["name"] == name]
        return found[0] if found else {}

    def metric(self, name: str) -> float:
        """One series of its own, 0 when it is not there."""
        match = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics").decode(), re.MULTILINE)
        return float(match[1]) if match else 0.0

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def start_aggregator(data: Path, *flags: str, insecure: bool = True) -> Running:
    listen = ("--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--data-dir", str(data))
    command = (sys.executable, "-m", "agent.cli", "aggregator", *listen, *(("--insecure",) if insecure else ()), *flags)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADROOM_")}
    running = Running(command, environment | {"PYTHONPATH": str(REPOSITORY)}).listen(AGENT_SERVING.replace(".*", ".*?"))
    running.grpc = running.wait_for(r"msg=serving .*grpc=(\S+)")[1]
    return running


def eventually(condition: Callable[[], Any]) -> Any:
    """The first true answer within the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    pause = threading.Event()
    while not (answer := condition()) and time.monotonic() < deadline:
        pause.wait(0.05)
    return answer
