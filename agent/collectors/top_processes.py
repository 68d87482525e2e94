"""Which commands use most CPU and memory right now: the largest few of each, by command name. Off by default.

Gauges, not counters: which commands are among the largest changes, and a counter that comes and goes is of no use.
Every process is read at every collection, 15 us each; that is why nobody gets this without asking for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from agent.errors import Gone
from agent.model import Declared, Family, Part, Value, Writer
from agent.sources.host import Host
from agent.sources.processes import ProcessStat, read_pids, read_process_stat

CPU = Family(
    "headroom_process_top_cpu_ratio",
    "gauge",
    "CPU that all processes of this name used since the last collection, 1 is one CPU; only the largest names.",
    ("process",),
)
RESIDENT = Family(
    "headroom_process_top_resident_memory_bytes",
    "gauge",
    "Resident memory of all processes of this name, pages they share count for each; only the largest names.",
    ("process",),
)


class TopProcesses:
    name: Final = "top_processes"
    part: Final[Part] = "headroom"
    families: Final[Declared] = (CPU, RESIDENT)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._host = host
        self._count: int = max(0, options["count"])
        self._cpu_ticks: dict[tuple[int, int], int] = {}
        self._looked_s: float | None = None

    def collect(self, out: Writer) -> None:
        now_s = self._host.calls.monotonic_s()
        processes = list(self._processes())
        if self._looked_s is not None and now_s > self._looked_s:
            self._write_cpu(processes, now_s - self._looked_s, out)
        self._cpu_ticks = {(p.pid, p.start_ticks): p.cpu_ticks for p in processes}
        self._looked_s = now_s
        resident = _by_name((p, p.resident_pages * self._host.calls.page_bytes) for p in processes)
        self._write_largest(RESIDENT, resident, out)

    def _processes(self) -> Iterator[ProcessStat]:
        for pid in read_pids(self._host.procfs):
            try:
                yield read_process_stat(self._host.procfs, pid)
            except Gone:
                continue  # it ended while we looked

    def _write_cpu(self, processes: list[ProcessStat], elapsed_s: float, out: Writer) -> None:
        """One that was not there last time has used all its CPU time since then."""
        per_tick = 1 / (self._host.calls.clock_ticks_per_s * elapsed_s)
        used = _by_name((p, p.cpu_ticks - self._cpu_ticks.get((p.pid, p.start_ticks), 0)) for p in processes)
        self._write_largest(CPU, {name: round(ticks * per_tick, 6) for name, ticks in used.items()}, out)

    def _write_largest(self, family: Family, values: Mapping[str, Value], out: Writer) -> None:
        """Sorted by name, so that the label sets stay the same while only the ranks change."""
        ranked = sorted((name for name in values if values[name] > 0), key=lambda name: (-values[name], name))
        largest = sorted(ranked[: self._count])
        out.many(family, tuple((name,) for name in largest), [values[name] for name in largest])


def _by_name(amounts: Iterator[tuple[ProcessStat, int]]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for process, amount in amounts:
        name = command_name(process)
        totals[name] = totals.get(name, 0) + amount
    return totals


def command_name(process: ProcessStat) -> str:
    """The label: text whatever its bytes. Of a kernel thread only what it is (kworker), not for whom (/u8:2-events)."""
    name = process.command.decode("utf-8", "replace")
    return name.partition("/")[0] if process.is_kernel_thread else name
