"""Where the controllers are mounted: one tree for all of them (v2) or one for each (v1).

Source: <sysfs>/fs/cgroup, cgroups(7). Since: v1 2.6.24, v2 4.5. Errors: Absent where nothing is mounted there.
Cost: one directory, once. A hybrid node (v1 with an empty v2 tree in ``unified``) is v1, as it is for the kubelet.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from agent.errors import Absent, Gone
from agent.sources.root import Root

MOUNT: Final = "fs/cgroup"
CONTROLLERS: Final[tuple[str, ...]] = ("memory", "cpuacct", "cpu", "pids", "blkio")


class Hierarchy(NamedTuple):
    """``directories`` leads from a v1 controller's name to its tree below sysfs; v2 has its one tree under ``""``."""

    version: int
    directories: dict[str, str]

    @property
    def main(self) -> str:
        """The tree in which pods and containers are looked for."""
        return next(iter(self.directories.values()))


def read_hierarchy(sysfs: Root) -> Hierarchy:
    """Controllers mounted together (``cpu,cpuacct``) are found under either name."""
    if sysfs.exists(f"{MOUNT}/cgroup.controllers"):
        return Hierarchy(2, {"": MOUNT})
    try:
        mounted = {part: name for name in sysfs.list(MOUNT) for part in name.split(",")}
    except Gone as error:
        raise Absent(error.path, "no cgroups are mounted") from None
    directories = {c: f"{MOUNT}/{mounted[c]}" for c in CONTROLLERS if c in mounted}
    if not directories:
        raise Absent(sysfs / MOUNT, "no cgroup controller is mounted")
    return Hierarchy(1, directories)
