"""Node metrics beside node_exporter: CPU per scrape, memory after 300 scrapes, start to first answer."""

from __future__ import annotations

import compileall
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import agent
from benchmarks.measured import Measured, Scraper, free_port

ROUNDS, SCRAPES, STARTS = 5, 60, 10
# node_exporter has no such collectors; all else that we serve stands against its own process, Go and HTTP families.
NOT_ITS_FAMILIES = ("--no-collector.named_processes", "--no-collector.eviction")

MIB = 1 << 20
FLOOR = """
import ctypes, re, socket, sys, threading, zlib
import httptools, psutil
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    connection, _ = listener.accept()
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    connection.close()
"""


class Row(NamedTuple):
    """One line of the table: medians of ours and of the peer, and what must not be exceeded, if anything."""

    what: str
    unit: str
    ours: float
    peer: float
    most_ratio: float | None = None
    most: float | None = None

    @property
    def ratio(self) -> float:
        return self.ours / self.peer

    @property
    def met(self) -> bool:
        within_ratio = self.most_ratio is None or self.ratio <= self.most_ratio
        return within_ratio and (self.most is None or self.ours <= self.most)

    @property
    def goal(self) -> str:
        if self.most_ratio is not None:
            return f"≤ {self.most_ratio:g} x"
        return f"≤ {self.most:g} {self.unit}" if self.most is not None else ""


def rows() -> list[Row]:
    exporter = prepared()
    for _ in range(2):  # the first time pays for reading both programs from the disk
        starts = _starts(exporter)
    with our_process(*NOT_ITS_FAMILIES) as same, our_process() as ours, exporter_process(exporter) as peer:
        for process in (same, ours, peer):
            process.first_answer_s()
        found = [*_cpu("same families", same, peer), *_cpu("everything by default", ours, peer), *_memory(ours, peer)]
    return [*found, starts]


def prepared() -> str:
    """Where node_exporter is; and what we import is compiled, as every installation does."""
    compileall.compile_dir(str(Path(agent.__file__).parent), quiet=2)
    command = [sys.executable, "-m", "tests.tools.peers", "node_exporter"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def our_process(*flags: str) -> Measured:
    port = free_port()
    command = [sys.executable, "-m", "agent.cli", "agent", "--listen", f"127.0.0.1:{port}", "--log.level", "warn"]
    return Measured(f"headroom{len(flags)}", [*command, *flags], port)


def exporter_process(binary: str) -> Measured:
    port = free_port()
    return Measured(
        "node_exporter",
        [binary, "--no-collector.systemd", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"],
        port,
    )


def _cpu(what: str, ours: Measured, peer: Measured) -> list[Row]:
    gzip = "Accept-Encoding: gzip"
    with Scraper(ours.port) as a, Scraper(peer.port) as b:
        plain = _interleaved(ours, lambda: a.get("/metrics"), peer, lambda: b.get("/metrics"))
        squeezed = _interleaved(ours, lambda: a.get("/metrics", gzip), peer, lambda: b.get("/metrics", gzip))
    most = 0.25 if what == "same families" else None
    return [
        Row(f"CPU per scrape, {what}", "ms", *plain, most),
        Row(f"CPU per scrape, {what}, gzip", "ms", *squeezed),
    ]


def _interleaved(
    ours: Measured, scrape_ours: Callable[[], bytes], peer: Measured, scrape_peer: Callable[[], bytes]
) -> tuple[float, float]:
    """Median milliseconds of CPU per scrape of each, taken in turns so that both meet the same weather."""
    costs: dict[Measured, list[float]] = {ours: [], peer: []}
    for _ in range(ROUNDS):
        for process, scrape in ((ours, scrape_ours), (peer, scrape_peer)):
            before = process.cpu_s()
            for _ in range(SCRAPES):
                scrape()
            costs[process].append((process.cpu_s() - before) / SCRAPES * 1000)
    return statistics.median(costs[ours]), statistics.median(costs[peer])


def _memory(ours: Measured, peer: Measured) -> list[Row]:
    """After the scrapes above, which are more than 300 for each."""
    found = [Row("memory after 300 scrapes: RSS", "MiB", ours.rss_bytes() / MIB, peer.rss_bytes() / MIB, 0.85)]
    a, b = ours.working_set_bytes(), peer.working_set_bytes()
    if a is not None and b is not None:
        found.append(Row("memory after 300 scrapes: cgroup working set", "MiB", a / MIB, b / MIB, 0.85))
        found.append(Row("the same of Python with psutil and httptools, idle", "MiB", _floor_bytes() / MIB, b / MIB))
    return found


def _floor_bytes() -> int:
    """The working set of a process that has imported what ours cannot do without, and does nothing."""
    port = free_port()
    with Measured("floor", [sys.executable, "-c", FLOOR, str(port)], port) as floor:
        floor.first_answer_s()
        return floor.working_set_bytes() or 0


def _starts(exporter: str) -> Row:
    times: dict[str, list[float]] = {"ours": [], "peer": []}
    for _ in range(STARTS):
        for name, process in (("ours", our_process()), ("peer", exporter_process(exporter))):
            with process as started:
                times[name].append(started.first_answer_s() * 1000)
    ours, peer = (statistics.median(found) for found in times.values())
    return Row("start to first 200 on /metrics", "ms", ours, peer, most=150)
