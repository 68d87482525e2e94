"""``/proc/loadavg``: how many tasks run or wait, averaged; and how many there are.

Source: <procfs>/loadavg, proc_loadavg(5). Since: 1.x. Units: tasks. Errors: Malformed. Cost: one read, 2 us.
"""

from __future__ import annotations

from typing import NamedTuple

from agent.errors import Malformed
from agent.sources.root import Root


class Loadavg(NamedTuple):
    """Exponentially damped averages over one, five and fifteen minutes."""

    load1: float
    load5: float
    load15: float


def parse_loadavg(buf: bytes) -> Loadavg:
    """Shape: ``0.38 0.15 0.05 2/120 2688``."""
    fields = buf.split(None, 3)
    try:
        return Loadavg(float(fields[0]), float(fields[1]), float(fields[2]))
    except (ValueError, IndexError):
        raise Malformed("loadavg", "three averages expected", buf) from None


def read_loadavg(procfs: Root) -> Loadavg:
    return parse_loadavg(procfs.read("loadavg"))


def parse_task_count(buf: bytes) -> int:
    """All tasks (threads) of the node, whoever reads it: the part after the slash of the fourth field."""
    fields = buf.split(None, 4)
    try:
        return int(fields[3].split(b"/")[1])
    except (ValueError, IndexError):
        raise Malformed("loadavg", "'running/tasks' expected as its fourth field", buf) from None


def read_task_count(procfs: Root) -> int:
    return parse_task_count(procfs.read("loadavg"))
