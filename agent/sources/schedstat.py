"""``/proc/schedstat``: how long each CPU ran tasks, and how long tasks waited for it.

Source: <procfs>/schedstat, scheduler/sched-stats.rst. Since: 2.6.23 with these units, where CONFIG_SCHEDSTATS is set.
Shape: ``cpu0`` and nine numbers, of which the last three are used; lines for scheduling domains between them.
Units: nanoseconds, timeslices. Errors: Malformed. Cost: one read, growing with CPUs times domains.
"""

from __future__ import annotations

from typing import NamedTuple

from agent.errors import Malformed
from agent.sources.root import Root


class CpuSchedule(NamedTuple):
    """Of one CPU since boot."""

    running_ns: int
    waiting_ns: int
    timeslices: int


def parse_schedstat(buf: bytes) -> dict[str, CpuSchedule]:
    """By the CPU's number, in the kernel's order."""
    cpus = {}
    for line in buf.splitlines():
        if not line.startswith(b"cpu"):
            continue
        words = line.split()
        try:
            cpus[str(int(words[0][3:]))] = CpuSchedule._make(map(int, words[7:10]))
        except (ValueError, TypeError):
            raise Malformed("schedstat", "'cpu<n>' and nine numbers expected", line) from None
    if not cpus:
        raise Malformed("schedstat", "no CPU")
    return cpus


def read_schedstat(procfs: Root) -> dict[str, CpuSchedule]:
    return parse_schedstat(procfs.read("schedstat"))
