"""A disk of spool files that can lose power: what was not synced may be there afterwards, or not, each by itself."""

from __future__ import annotations

from random import Random

from agent.push.held import Key

Content = int  # a record, by its number in the whole simulation


class DiskFile:
    """``synced`` records survive; ``durable``: so does its name."""

    def __init__(self, key: Key, sid: bytes, base: int, first: int) -> None:
        self.key, self.sid, self.base, self.first = key, sid, base, first
        self.records: list[Content] = []
        self.synced = 0
        self.durable = False
        self.rotten: set[int] = set()
        self.found_bad: int | None = None  # the first bad record, once somebody read it

    @property
    def last(self) -> int:
        return self.first + len(self.records) - 1

    def scan(self) -> None:
        bad = [seq for seq in self.rotten if seq <= self.last]
        self.found_bad = min(bad) if bad else None

    def sync(self) -> None:
        self.synced, self.durable = len(self.records), True


class Disk:
    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.files: dict[bytes, list[DiskFile]] = {}
        self._unlinked: list[DiskFile] = []

    def create(self, file: DiskFile) -> None:
        self.files.setdefault(file.key.spool_id, []).append(file)

    def unlink(self, file: DiskFile) -> None:
        self.files[file.key.spool_id].remove(file)
        if file.durable:
            self._unlinked.append(file)

    def sync_directory(self) -> None:
        self._unlinked.clear()
        for files in self.files.values():
            for file in files:
                file.durable = True

    def power_cut(self) -> list[Content]:
        """What is gone now."""
        gone: list[Content] = []
        for spool_id, files in self.files.items():
            for file in [one for one in self._unlinked if one.key.spool_id == spool_id]:
                if self._rng.random() < 0.5:
                    files.append(file)
            for file in list(files):
                kept = self._rng.randint(file.synced, len(file.records))
                if not file.durable and self._rng.random() < 0.5:
                    files.remove(file)
                    kept = 0
                gone += file.records[kept:]
                del file.records[kept:]
                file.sync()
        self._unlinked.clear()
        return gone

    def rot(self) -> list[Content]:
        """One bad record somewhere; with it goes the rest of its file."""
        files = [file for files in self.files.values() for file in files if file.records]
        if not files:
            return []
        file = self._rng.choice(files)
        bad = self._rng.randint(file.first, file.last)
        file.rotten.add(bad)
        return file.records[bad - file.first :]
