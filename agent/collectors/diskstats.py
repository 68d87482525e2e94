"""What the node's disks do, and which disks they are.

Old kernels have fewer columns; what a kernel does not count is not there. ``node_disk_info`` and its like tell what
udev knows where ``--path.udev.data`` leads to the node's; elsewhere its labels are empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from typing import Any, Final, NamedTuple

from agent.collectors.filter import filter_of
from agent.errors import Gone
from agent.model import Declared, Family, Key, Part, Writer
from agent.sources.diskstats import SECTOR_BYTES, Diskstat, read_diskstats
from agent.sources.host import Host
from agent.sources.udev import Properties, parse_udev_properties, read_udev_data

DEVICE: Final = ("device",)


def _counter(name: str, help: str) -> Family:
    return Family(f"node_disk_{name}", "counter", help, DEVICE)


_S: Final = 0.001
_FLUSH_TIME_HELP: Final = "This is the total number of seconds spent by all flush requests."
COUNTERS: Final[tuple[tuple[Family, float], ...]] = (
    (_counter("reads_completed_total", "The total number of reads completed successfully."), 1),
    (_counter("reads_merged_total", "The total number of reads merged."), 1),
    (_counter("read_bytes_total", "The total number of bytes read successfully."), SECTOR_BYTES),
    (_counter("read_time_seconds_total", "The total number of seconds spent by all reads."), _S),
    (_counter("writes_completed_total", "The total number of writes completed successfully."), 1),
    (_counter("writes_merged_total", "The number of writes merged."), 1),
    (_counter("written_bytes_total", "The total number of bytes written successfully."), SECTOR_BYTES),
    (_counter("write_time_seconds_total", "This is the total number of seconds spent by all writes."), _S),
    (Family("node_disk_io_now", "gauge", "The number of I/Os currently in progress.", DEVICE), 1),
    (_counter("io_time_seconds_total", "Total seconds spent doing I/Os."), _S),
    (_counter("io_time_weighted_seconds_total", "The weighted # of seconds spent doing I/Os."), _S),
    (_counter("discards_completed_total", "The total number of discards completed successfully."), 1),
    (_counter("discards_merged_total", "The total number of discards merged."), 1),
    (_counter("discarded_sectors_total", "The total number of sectors discarded successfully."), 1),
    (_counter("discard_time_seconds_total", "This is the total number of seconds spent by all discards."), _S),
    (_counter("flush_requests_total", "The total number of flush requests completed successfully"), 1),
    (_counter("flush_requests_time_seconds_total", _FLUSH_TIME_HELP), _S),
)
INFO = Family(
    "node_disk_info",
    "gauge",
    "Info of /sys/block/<block_device>.",
    ("device", "major", "minor", "path", "wwn", "model", "serial", "revision", "rotational"),
)
FILESYSTEM_INFO = Family(
    "node_disk_filesystem_info",
    "gauge",
    "Info about disk filesystem.",
    ("device", "type", "usage", "uuid", "version"),
)
DEVICE_MAPPER_INFO = Family(
    "node_disk_device_mapper_info",
    "gauge",
    "Info about disk device mapper.",
    ("device", "name", "uuid", "vg_name", "lv_name", "lv_layer"),
)
ATA: Final[tuple[tuple[Family, str], ...]] = (
    (
        Family("node_disk_ata_write_cache", "gauge", "ATA disk has a write cache.", DEVICE),
        "ID_ATA_WRITE_CACHE",
    ),
    (
        Family("node_disk_ata_write_cache_enabled", "gauge", "ATA disk has its write cache enabled.", DEVICE),
        "ID_ATA_WRITE_CACHE_ENABLED",
    ),
    (
        Family("node_disk_ata_rotation_rate_rpm", "gauge", "ATA disk rotation rate in RPMs (0 for SSDs).", DEVICE),
        "ID_ATA_ROTATION_RATE_RPM",
    ),
)


class _Disk(NamedTuple):
    """What identifies a disk and seldom changes: its place, what is counted, udev's record, whether it rotates."""

    major: int
    minor: int
    device: str
    columns: int
    udev: bytes
    rotational: str


class Diskstats:
    name: Final = "diskstats"
    part: Final[Part] = "node"
    families: Final[Declared] = (
        *(family for family, _ in COUNTERS),
        INFO,
        FILESYSTEM_INFO,
        DEVICE_MAPPER_INFO,
        *(family for family, _ in ATA),
    )

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._host = host
        self._filter = filter_of(self.name, options, "device-include", "device-exclude")
        self._disks: list[_Disk] = []
        self._keys: list[tuple[Key, ...]] = []
        self._facts = Writer()

    def collect(self, out: Writer) -> None:
        stats = read_diskstats(self._host.procfs, self._filter.wanted)
        disks = [self._identify(stat, out) for stat in stats]
        if disks != self._disks:
            self._remember(disks)
        out.blocks += self._facts.blocks
        columns = zip_longest(*(stat.counters for stat in stats))
        for (family, unit), keys, column in zip(COUNTERS, self._keys, columns, strict=False):
            out.many(family, keys, [value * unit for value in column if value is not None])

    def _identify(self, stat: Diskstat, out: Writer) -> _Disk:
        udev, rotational = b"", b""
        with out.optional:
            try:
                udev = read_udev_data(self._host.udev_data, stat.major, stat.minor)
            except Gone:
                pass  # no udev here, or nothing that it knows: nothing is wrong with the node
        with out.optional:
            try:
                rotational = self._host.sysfs.attribute(f"block/{stat.device}/queue/rotational")
            except Gone:
                pass  # a partition has no queue
        return _Disk(stat.major, stat.minor, stat.device, len(stat.counters), udev, "1" if rotational == b"1" else "0")

    def _remember(self, disks: list[_Disk]) -> None:
        for gone in {disk.device for disk in self._disks}.difference(disk.device for disk in disks):
            self._host.sysfs.forget(f"block/{gone}/")
        self._disks = disks
        devices = tuple((disk.device,) for disk in disks)
        fewest = min((disk.columns for disk in disks), default=0)
        self._keys = [devices if column < fewest else _having(column, disks) for column in range(len(COUNTERS))]
        self._facts = Writer()
        _write_facts([(disk, parse_udev_properties(disk.udev)) for disk in disks], self._facts)


def _having(column: int, disks: list[_Disk]) -> tuple[Key, ...]:
    return tuple((disk.device,) for disk in disks if disk.columns > column)


def _write_facts(disks: list[tuple[_Disk, Properties]], out: Writer) -> None:
    """Everything that is constant while the disks are the same."""
    keys = tuple(_info(disk, udev) for disk, udev in disks)
    out.many(INFO, keys, (1,) * len(keys))
    for family, prefix, first, rest in (
        (FILESYSTEM_INFO, "ID_FS_", "TYPE", ("USAGE", "UUID", "VERSION")),
        (DEVICE_MAPPER_INFO, "DM_", "NAME", ("UUID", "VG_NAME", "LV_NAME", "LV_LAYER")),
    ):
        keys = tuple(
            (disk.device, *(udev.get(prefix + name, "") for name in (first, *rest)))
            for disk, udev in disks
            if udev.get(prefix + first)
        )
        out.many(family, keys, (1,) * len(keys))
    for family, name in ATA:
        values = {(disk.device,): _number(udev[name]) for disk, udev in disks if udev.get("ID_ATA") and name in udev}
        known = {key: value for key, value in values.items() if value is not None}
        out.many(family, tuple(known), list(known.values()))


def _info(disk: _Disk, udev: Properties) -> Key:
    serial = udev.get("SCSI_IDENT_SERIAL") or udev.get("ID_SERIAL_SHORT") or udev.get("ID_SERIAL", "")
    path, wwn, model, revision = (udev.get(f"ID_{name}", "") for name in ("PATH", "WWN", "MODEL", "REVISION"))
    return (disk.device, str(disk.major), str(disk.minor), path, wwn, model, serial, revision, disk.rotational)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
