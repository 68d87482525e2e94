"""How many processes the kernel killed in a cgroup for want of memory.

Source: ``memory.events`` (v2: of the cgroup and everything below it), ``memory.oom_control`` (v1: of the cgroup alone),
key ``oom_kill``. Since: v2 4.13, v1 4.13. Units: processes, since the cgroup was made. Errors: Gone, Malformed.
Cost: 9 us; read only when the node's own counter in ``/proc/vmstat`` has grown.
"""

from __future__ import annotations

from agent.errors import Malformed
from agent.sources.cgroup.flat import FlatKeys
from agent.sources.cgroup.hierarchy import Hierarchy
from agent.sources.root import Root

_EVENTS = FlatKeys("memory.events", "oom_kill")
_CONTROL = FlatKeys("memory.oom_control", "oom_kill")
_KEY = b"\noom_kill "


def read_oom_kills(sysfs: Root, hierarchy: Hierarchy, path: str) -> int | None:
    """None where this kernel does not count them. ``path`` is below the hierarchy's root."""
    if hierarchy.version == 2:
        return _EVENTS(sysfs.read_once(f"{hierarchy.main}{path}/memory.events"))[0]
    directory = hierarchy.directories.get("memory")
    return None if directory is None else _CONTROL(sysfs.read_once(f"{directory}{path}/memory.oom_control"))[0]


def parse_node_oom_kills(vmstat: bytes) -> int | None:
    """The node's counter in ``/proc/vmstat``; None where this kernel (before 4.13) has none."""
    _, found, rest = vmstat.partition(_KEY)
    if not found:
        return None
    number = rest.split(b"\n", 1)[0]
    if not number.isdigit() or len(number) > 20:
        raise Malformed("vmstat", "oom_kill: a whole number expected", number)
    return int(number)


def read_node_oom_kills(procfs: Root) -> int | None:
    return parse_node_oom_kills(procfs.read("vmstat"))
