"""What containers read from and wrote to block devices, by device and operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.collectors.container_columns import Columns, Keys
from agent.collectors.container_families import BLKIO, READ_BYTES, READS, WRITES, WRITTEN_BYTES
from agent.errors import SourceError
from agent.model import Family, Key, Writer
from agent.sources.cgroup.usage import Io
from agent.sources.diskstats import parse_diskstats
from agent.sources.host import Host


class ContainerIo:
    """Gives the five families. Device numbers get their names from diskstats, which is read when one is new."""

    def __init__(self, host: Host, columns: Columns) -> None:
        self._procfs = host.procfs
        self._columns = columns
        self._names: dict[str, str] = {}

    def give(self, out: Writer, keys: Keys, sizes: Sequence[Io | None], counts: Sequence[Io | None]) -> None:
        self._learn(sizes, counts)
        self._usage(out, keys, sizes)
        self._operations(out, keys, sizes, {"Read": READ_BYTES, "Write": WRITTEN_BYTES})
        self._operations(out, keys, counts, {"Read": READS, "Write": WRITES})

    def _usage(self, out: Writer, keys: Keys, sizes: Sequence[Io | None]) -> None:
        found: list[Key] = []
        values: list[int] = []
        for key, io in zip(keys, sizes, strict=True):
            for (number, operation), value in (io or {}).items():
                major, _, minor = number.partition(":")
                container, path, image, *rest = key
                device = self._names[number]
                found.append((container, device, path, image, major, minor, rest[0], rest[1], operation, rest[2]))
                values.append(value)
        self._columns.give_listed(out, BLKIO, found, values)

    def _operations(self, out: Writer, keys: Keys, ios: Sequence[Io | None], families: Mapping[str, Family]) -> None:
        for operation, family in families.items():
            found: list[Key] = []
            values: list[int] = []
            for key, io in zip(keys, ios, strict=True):
                for (number, done), value in (io or {}).items():
                    if done == operation:
                        found.append((key[0], self._names[number], *key[1:]))
                        values.append(value)
            self._columns.give_listed(out, family, found, values)

    def _learn(self, *all_ios: Sequence[Io | None]) -> None:
        """``/dev/nvme0n1``, as cAdvisor calls it; empty for a device that diskstats does not have."""
        numbers = {number for ios in all_ios for io in ios if io for number, _ in io}
        if numbers <= self._names.keys():
            return
        try:
            disks = parse_diskstats(self._procfs.read_once("diskstats"), lambda _: True)
        except SourceError:  # the numbers say which device it is, too
            disks = []
        names = {f"{disk.major}:{disk.minor}": f"/dev/{disk.device}" for disk in disks}
        self._names = {number: names.get(number, "") for number in numbers}
