"""What the agent itself uses, under the names that every Prometheus client library has.

Its network traffic is left out: the kernel counts that per network namespace, not per process.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

import psutil

from agent.errors import Gone
from agent.model import Declared, Family, Part, Writer
from agent.sources.host import Host
from agent.sources.processes import process_at

OWN_PROCFS: Final = "/proc"  # the container's own, wherever the node's is mounted

CPU = Family("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.")
OPEN_FDS = Family("process_open_fds", "gauge", "Number of open file descriptors.")
MAX_FDS = Family("process_max_fds", "gauge", "Maximum number of open file descriptors.")
VIRTUAL = Family("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.")
VIRTUAL_MAX = Family(
    "process_virtual_memory_max_bytes", "gauge", "Maximum amount of virtual memory available in bytes."
)
RESIDENT = Family("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.")
START = Family("process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.")
UNLIMITED: Final = float(2**64 - 1)  # how client_golang writes RLIM_INFINITY


class Footprint:
    name: Final = "agent"
    part: Final[Part] = "headroom"
    families: Final[Declared] = (CPU, OPEN_FDS, MAX_FDS, VIRTUAL, VIRTUAL_MAX, RESIDENT, START)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._process = process_at(OWN_PROCFS)
        self._start_s = self._process.create_time()

    def collect(self, out: Writer) -> None:
        try:
            self._write_process(out)
        except psutil.NoSuchProcess:
            raise Gone(OWN_PROCFS, "not the procfs of this process") from None

    def _write_process(self, out: Writer) -> None:
        cpu = self._process.cpu_times()
        memory = self._process.memory_info()
        open_fds = os.stat(f"{OWN_PROCFS}/self/fd").st_size or self._process.num_fds()  # a size since Linux 6.2
        out.one(CPU, round(cpu.user + cpu.system, 6))
        out.one(OPEN_FDS, open_fds)
        out.one(MAX_FDS, _soft_limit(self._process, psutil.RLIMIT_NOFILE))
        out.one(VIRTUAL, memory.vms)
        out.one(VIRTUAL_MAX, _soft_limit(self._process, psutil.RLIMIT_AS))
        out.one(RESIDENT, memory.rss)
        out.one(START, self._start_s)


def _soft_limit(process: psutil.Process, resource: int) -> float:
    limit = process.rlimit(resource)[0]
    return UNLIMITED if limit == psutil.RLIM_INFINITY else limit
