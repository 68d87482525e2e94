"""How long tasks waited for CPU time, IO, memory or interrupts: the kernel's own measure of being short of them.

``waiting`` is the time in which some task waited, ``stalled`` that in which no task could go on. For the CPU as a
whole the latter means nothing, and for interrupts the kernel keeps only the latter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.errors import Gone, Malformed, Unsupported
from agent.model import Declared, Family, Part, Writer
from agent.sources.host import Host
from agent.sources.pressure import read_pressure

CPU_WAITING = Family(
    "node_pressure_cpu_waiting_seconds_total",
    "counter",
    "Total time in seconds that processes have waited for CPU time",
)
IO_WAITING = Family(
    "node_pressure_io_waiting_seconds_total",
    "counter",
    "Total time in seconds that processes have waited due to IO congestion",
)
IO_STALLED = Family(
    "node_pressure_io_stalled_seconds_total",
    "counter",
    "Total time in seconds no process could make progress due to IO congestion",
)
MEMORY_WAITING = Family(
    "node_pressure_memory_waiting_seconds_total",
    "counter",
    "Total time in seconds that processes have waited for memory",
)
MEMORY_STALLED = Family(
    "node_pressure_memory_stalled_seconds_total",
    "counter",
    "Total time in seconds no process could make progress due to memory congestion",
)
IRQ_STALLED = Family(
    "node_pressure_irq_stalled_seconds_total",
    "counter",
    "Total time in seconds no process could make progress due to IRQ congestion",
)

RESOURCES: Final = (
    ("cpu", CPU_WAITING, None),
    ("io", IO_WAITING, IO_STALLED),
    ("memory", MEMORY_WAITING, MEMORY_STALLED),
    ("irq", None, IRQ_STALLED),
)


class Pressure:
    name: Final = "pressure"
    part: Final[Part] = "node"
    families: Final[Declared] = (CPU_WAITING, IO_WAITING, IO_STALLED, MEMORY_WAITING, MEMORY_STALLED, IRQ_STALLED)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._procfs = host.procfs

    def collect(self, out: Writer) -> None:
        missing = 0
        for resource, waiting, stalled in RESOURCES:
            try:
                pressure = read_pressure(self._procfs, resource)
                _write(out, resource, waiting, pressure.some_usec)
                _write(out, resource, stalled, pressure.full_usec)
            except Gone:  # each came with another kernel; only a kernel without any of them is worth a word
                missing += 1
            except Malformed as error:
                out.errors.append(error)
        if missing == len(RESOURCES):
            raise Unsupported("pressure", "this kernel has no pressure stall information (Linux 4.20, CONFIG_PSI)")


def _write(out: Writer, resource: str, family: Family | None, usec: int | None) -> None:
    if family is None:
        return
    if usec is None:
        raise Malformed(f"pressure/{resource}", f"nothing to make {family.name} of")
    out.one(family, usec / 1e6)
