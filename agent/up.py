"""``headroom up``: the agent, the aggregator as a process of its own, and the stream between them, on this machine.

What they keep goes into a temporary directory that ends with them. The aggregator ends when this process does, however
that ends.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from importlib.util import find_spec
from typing import Any, Final, TextIO

from agent import log
from agent.app import STOP_SIGNALS, Agent
from agent.config.load import Config
from agent.httpd.address import listen, parse_address
from agent.show_eviction import first_look

NEEDED: Final = ("agent.aggregator.main", "aiohttp")
START_S: Final = 5.0
LOOK_S: Final = 0.05
STOP_S: Final = 0.5
PR_SET_PDEATHSIG: Final = 1  # prctl.h


def up(config: Config, out: TextIO) -> int:
    """Serves until a signal. The exit status is the agent's."""
    if not _wanted(config, out):
        return _serve(config, None, out)
    directory = tempfile.mkdtemp(prefix="headroom-up-")
    try:
        grpc_at, http_at = _free(config["grpc-listen"]), _free(config["http-listen"])
        config.set("push.target", [grpc_at], "headroom up")
        config.set("push.insecure", True, "headroom up")
        if not config["spool.dir"]:
            config.set("spool.dir", os.path.join(directory, "spool"), "headroom up")
        return _serve(config, Aggregator(config, directory, grpc_at, http_at), out)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _wanted(config: Config, out: TextIO) -> bool:
    if not config["aggregator"] or config["push.target"]:
        return False
    if all(map(find_spec, NEEDED)):
        return True
    print("No aggregator here: it needs `pip install 'headroom-agent[aggregator]'`. The agent runs alone.", file=out)
    return False


def _serve(config: Config, aggregator: Aggregator | None, out: TextIO) -> int:
    running = Agent(config)
    if aggregator is not None:
        aggregator.start()
    try:
        if running.watch is not None:
            print(first_look(running.watch, config["node-name"], out), end="\n\n", file=out)
        print(f"Headroom serves this node on\n  {running.url}/metrics\n  {running.url}/", file=out)
        if aggregator is not None:
            print(f"and its aggregator on\n  http://{aggregator.http_at}/", file=out)
            print(f"  {aggregator.grpc_at}, which takes the streams of agents", file=out)
            aggregator.wait()
        print("Ctrl-C ends it.", file=out, flush=True)
        return running.run()
    finally:
        if aggregator is not None:
            aggregator.stop()


class Aggregator:
    """The other process. It has a process group of its own, so that Ctrl-C reaches it through us, after the agent."""

    def __init__(self, config: Config, directory: str, grpc_at: str, http_at: str) -> None:
        self.grpc_at, self.http_at = grpc_at, http_at
        self._command = [
            *(sys.executable, "-m", "agent.cli", "aggregator", "--insecure"),
            *("--grpc-listen", grpc_at, "--http-listen", http_at, "--data-dir", os.path.join(directory, "data")),
            *("--log.level", config["log.level"], "--log.format", config["log.format"]),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = False

    def start(self) -> None:
        mine = {name: value for name, value in os.environ.items() if not name.startswith("HEADROOM_")}
        self._process = subprocess.Popen(
            self._command, env=mine, stdin=subprocess.DEVNULL, process_group=0, preexec_fn=_end_with_parent()
        )
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # for the thread; the agent does so for its own
        threading.Thread(target=self._watch, args=(self._process,), name="aggregator", daemon=True).start()

    def wait(self) -> None:
        """Until it takes streams, so that the agent's first try is not a warning; it may never come."""
        address, until_s = parse_address(self.grpc_at), time.monotonic() + START_S
        while self._process is not None and time.monotonic() < until_s:
            try:
                socket.create_connection((address.host or "localhost", address.port), START_S).close()
                return
            except OSError:
                pass
            try:
                self._process.wait(LOOK_S)
            except subprocess.TimeoutExpired:
                continue
            return

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        status = process.wait()
        if not self._stopping:
            log.error("the aggregator has ended; the agent goes on", status=status)

    def stop(self) -> None:
        self._stopping = True
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _end_with_parent() -> Any:
    """What the child calls before it begins."""
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _free(at: str) -> str:
    """The same address; for port 0 one that is free, as both processes have to know it."""
    address = parse_address(at)
    if address.port:
        return str(address)
    with listen(address) as found:
        return str(address._replace(port=found.getsockname()[1]))
