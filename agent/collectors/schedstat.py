"""How long each CPU ran tasks, and how long tasks that were ready waited for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.model import Declared, Family, Key, Part, Writer
from agent.sources.host import Host
from agent.sources.schedstat import read_schedstat

RUNNING = Family(
    "node_schedstat_running_seconds_total", "counter", "Number of seconds CPU spent running a process.", ("cpu",)
)
WAITING = Family(
    "node_schedstat_waiting_seconds_total",
    "counter",
    "Number of seconds spent by processing waiting for this CPU.",
    ("cpu",),
)
TIMESLICES = Family("node_schedstat_timeslices_total", "counter", "Number of timeslices executed by CPU.", ("cpu",))


class Schedstat:
    name: Final = "schedstat"
    part: Final[Part] = "node"
    families: Final[Declared] = (RUNNING, WAITING, TIMESLICES)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._procfs = host.procfs
        self._keys: tuple[Key, ...] = ()

    def collect(self, out: Writer) -> None:
        cpus = read_schedstat(self._procfs)
        if (keys := tuple((cpu,) for cpu in cpus)) != self._keys:
            self._keys = keys
        out.many(RUNNING, self._keys, [cpu.running_ns / 1e9 for cpu in cpus.values()])
        out.many(WAITING, self._keys, [cpu.waiting_ns / 1e9 for cpu in cpus.values()])
        out.many(TIMESLICES, self._keys, [cpu.timeslices for cpu in cpus.values()])
