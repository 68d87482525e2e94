"""Hardware and filesystems that node_exporter reads and this version does not: each is recognised, and said to be here.

One small class per collector, made from ``PLACES``. On a node without the thing a place says what node_exporter says
(success, or that there is nothing); where it is, the reason why its metrics are missing. A place becomes a collector
of its own by getting a module and its line in the catalog.

Nothing here changes often, so the trees are looked at once in ``LOOK_EVERY_S``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from agent.errors import Absent, SourceError, Unsupported
from agent.model import Declared, Part, Writer
from agent.sources.host import Host
from agent.sources.root import Root

LOOK_EVERY_S: Final = 60.0

Entry = Callable[[Root, str, str], bool]


def _any(root: Root, directory: str, name: str) -> bool:
    return True


def _uuid(root: Root, directory: str, name: str) -> bool:
    """fs/btrfs and fs/bcache also hold entries that are no filesystem: ``features``, ``register``."""
    return "-" in name


def _numbered(*prefixes: str) -> Entry:
    """``cpu0`` but not ``cpuidle``."""

    def entry(root: Root, directory: str, name: str) -> bool:
        return any(name.startswith(prefix) and name[len(prefix) :][:1].isdecimal() for prefix in prefixes)

    return entry


def _with(file: str, entry: Entry = _any) -> Entry:
    """An entry that has this file below it."""
    return lambda root, directory, name: entry(root, directory, name) and root.exists(f"{directory}/{name}/{file}")


class Place(NamedTuple):
    """Where a thing would be. ``entry`` says which names in ``directory`` are one; without it the path itself is.

    ``empty_is_fine`` and ``missing_is_fine``: whether node_exporter calls it a success when the directory has no such
    entry, or is not there at all.
    """

    collector: str
    tree: str
    directory: str
    entry: Entry | None
    empty_is_fine: bool
    missing_is_fine: bool


PLACES: Final[dict[str, Place]] = {
    "Bcache": Place("bcache", "sysfs", "fs/bcache", _uuid, True, True),
    "Bcachefs": Place("bcachefs", "sysfs", "fs/bcachefs", _any, False, False),
    "Btrfs": Place("btrfs", "sysfs", "fs/btrfs", _uuid, True, True),
    "Cpufreq": Place("cpufreq", "sysfs", "devices/system/cpu", _with("cpufreq", _numbered("cpu")), True, False),
    "Dmi": Place("dmi", "sysfs", "class/dmi/id", _any, False, False),
    "Edac": Place("edac", "sysfs", "devices/system/edac/mc", _numbered("mc"), True, True),
    "Fibrechannel": Place("fibrechannel", "sysfs", "class/fc_host", _any, True, False),
    "Hwmon": Place("hwmon", "sysfs", "class/hwmon", _any, True, False),
    "Infiniband": Place("infiniband", "sysfs", "class/infiniband", _any, True, False),
    "Ipvs": Place("ipvs", "net", "ip_vs_stats", None, False, False),
    "Nfs": Place("nfs", "net", "rpc/nfs", None, False, False),
    "Nfsd": Place("nfsd", "net", "rpc/nfsd", None, False, False),
    "Nvme": Place("nvme", "sysfs", "class/nvme", _any, True, False),
    "Powersupplyclass": Place("powersupplyclass", "sysfs", "class/power_supply", _any, True, False),
    "Rapl": Place("rapl", "sysfs", "class/powercap", _with("name"), True, False),
    "Tapestats": Place("tapestats", "sysfs", "class/scsi_tape", _numbered("st"), True, False),
    "ThermalZone": Place(
        "thermal_zone", "sysfs", "class/thermal", _numbered("thermal_zone", "cooling_device"), True, True
    ),
    "Watchdog": Place("watchdog", "sysfs", "class/watchdog", _any, True, False),
    "Xfs": Place("xfs", "sysfs", "fs/xfs", _with("stats/stats"), True, True),
    "Zfs": Place("zfs", "procfs", "spl/kstat/zfs", None, False, False),
}


class Hardware:
    """A place as a collector. Threads: as every collector."""

    place: Place
    name: str
    part: Part = "node"
    families: Declared = ()

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._host = host
        self._calls = host.calls
        self._root = host.sysfs if self.place.tree == "sysfs" else host.procfs
        self._verdict: tuple[type[SourceError], str] | None = None
        self._look_again_s = float("-inf")

    @property
    def _path(self) -> str:
        directory = self.place.directory
        return self._host.net(directory) if self.place.tree == "net" else directory

    def collect(self, out: Writer) -> None:
        now_s = self._calls.monotonic_s()
        if now_s >= self._look_again_s:
            self._verdict = self._look()
            self._look_again_s = now_s + LOOK_EVERY_S
        if self._verdict is not None:
            kind, detail = self._verdict
            raise kind(self._root / self._path, detail)

    def _look(self) -> tuple[type[SourceError], str] | None:
        """None where there is nothing and node_exporter finds nothing wrong with that."""
        place = self.place
        here = (Unsupported, "seen, but not read by this version")
        if not self._root.exists(self._path):
            return None if place.missing_is_fine else (Absent, "there is none here")
        if place.entry is None:
            return here
        try:
            names = self._root.list(self._path)
        except SourceError as error:
            return (type(error), error.detail)
        if any(place.entry(self._root, self._path, name) for name in names):
            return here
        return None if place.empty_is_fine else (Absent, "there is none here")


def _collector(class_name: str) -> type[Hardware]:
    place = PLACES[class_name]
    return type(class_name, (Hardware,), {"place": place, "name": place.collector, "__doc__": f"{place.directory}."})


for _class_name in PLACES:
    globals()[_class_name] = _collector(_class_name)
