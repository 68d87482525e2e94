"""What the kernel did since boot: interrupts, context switches, forks; and how many tasks run or are blocked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.model import Declared, Family, Part, Writer
from agent.sources.host import Host
from agent.sources.stat import SOFTIRQ_VECTORS, read_stat

INTERRUPTS = Family("node_intr_total", "counter", "Total number of interrupts serviced.")
CONTEXT_SWITCHES = Family("node_context_switches_total", "counter", "Total number of context switches.")
FORKS = Family("node_forks_total", "counter", "Total number of forks.")
BOOT_TIME = Family("node_boot_time_seconds", "gauge", "Node boot time, in unixtime.")
RUNNING = Family("node_procs_running", "gauge", "Number of processes in runnable state.")
BLOCKED = Family("node_procs_blocked", "gauge", "Number of processes blocked waiting for I/O to complete.")
SOFTIRQS = Family("node_softirqs_total", "counter", "Number of softirq calls.", ("vector",))

_VECTOR_KEYS: Final = tuple((vector,) for vector in SOFTIRQ_VECTORS)


class Stat:
    name: Final = "stat"
    part: Final[Part] = "node"
    families: Final[Declared] = (INTERRUPTS, CONTEXT_SWITCHES, FORKS, BOOT_TIME, RUNNING, BLOCKED, SOFTIRQS)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._procfs = host.procfs
        self._softirq: bool = options["softirq"]

    def collect(self, out: Writer) -> None:
        stat = read_stat(self._procfs)
        out.one(INTERRUPTS, stat.interrupts)
        out.one(CONTEXT_SWITCHES, stat.context_switches)
        out.one(FORKS, stat.forks)
        out.one(BOOT_TIME, stat.boot_time_s)
        out.one(RUNNING, stat.procs_running)
        out.one(BLOCKED, stat.procs_blocked)
        if self._softirq and stat.softirqs:
            out.many(SOFTIRQS, _VECTOR_KEYS, stat.softirqs)
