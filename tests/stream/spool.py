"""A model of the spool: the rules about files (R1, R2, R9 to R11) in a few lines, over the model of a disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from random import Random
from typing import NamedTuple

from agent.push.held import LANES, File, Held, Key, Lane
from tests.stream.disk import Content, Disk, DiskFile


class Bounds(NamedTuple):
    """All tiny, so that every rule is needed all the time."""

    file_records: int = 3
    records: int = 30
    sessions: int = 4


class Spool:
    """One process's view. ``gone`` collects whatever was deleted."""

    def __init__(self, disk: Disk, rng: Random, bounds: Bounds, gone: Callable[[Content], None]) -> None:
        self.disk, self.rng, self.bounds, self._gone = disk, rng, bounds, gone
        self.acked: dict[Key, int] = {}
        self.dropped: list[Key] = []
        self._current: dict[Lane, DiskFile] = {}
        self.spool_id = self.find_id()
        for file in self.files():
            file.scan()
        for lane in LANES:
            self.open(lane)

    def find_id(self) -> bytes:
        return next(reversed(self.disk.files), None) or self.rng.randbytes(16)

    def files(self) -> list[DiskFile]:
        every = [one for files in self.disk.files.values() for one in files]
        return sorted(every, key=lambda one: (one.key.spool_id, one.key.lane, one.key.number, one.first))

    def sessions(self) -> Iterator[tuple[Key, list[DiskFile]]]:
        for key, files in groupby(self.files(), key=lambda one: one.key):
            yield key, list(files)

    def held(self) -> tuple[Held, ...]:
        return tuple(self._held(key, files) for key, files in self.sessions())

    def _held(self, key: Key, files: list[DiskFile]) -> Held:
        sealed = all(file is not current for current in self._current.values() for file in files)
        listed = tuple(File(one.first, self.readable(one), 1, one.found_bad is not None) for one in files)
        return Held(key, files[0].sid, files[0].base, files[-1].last, sealed, listed)

    def readable(self, file: DiskFile) -> int:
        return file.last if file.found_bad is None else file.found_bad - 1

    def open(self, lane: Lane) -> None:
        """R1, R2, R10."""
        there = [(key, files) for key, files in self.sessions() if (key.spool_id, key.lane) == (self.spool_id, lane)]
        number, base = 1, 0
        if there:
            key, files = max(there, key=lambda one: one[0].number)
            number, base = key.number + 1, files[0].base + files[-1].last
        self._current.pop(lane, None)
        for key, _ in sorted(there, key=self._unacked)[: max(0, len(there) + 1 - self.bounds.sessions)]:
            self.delete(key)
        self._current[lane] = DiskFile(Key(self.spool_id, lane, number), self.rng.randbytes(16), base, 1)
        self.disk.create(self._current[lane])
        self.sync_header(self._current[lane])

    def sync_header(self, file: DiskFile) -> None:
        file.sync()
        self.disk.sync_directory()

    def _unacked(self, session: tuple[Key, list[DiskFile]]) -> tuple[int, int]:
        key, files = session
        return files[-1].last - min(self.acked.get(key, 0), files[-1].last), key.number

    def append(self, lane: Lane, content: Content) -> tuple[Key, int, bool]:
        """The key, the number, and whether a file was begun."""
        begun = len(self._current[lane].records) >= self.bounds.file_records
        if begun:
            self.rotate(lane)
        file = self._current[lane]
        file.records.append(content)
        if lane == "events":
            self.sync_event(file)
        return file.key, file.last, begun

    def sync_event(self, file: DiskFile) -> None:
        file.sync()

    def sync(self) -> None:
        for file in self.files():
            file.sync()

    def rotate(self, lane: Lane) -> None:
        old = self._current[lane]
        self._current[lane] = DiskFile(old.key, old.sid, old.base, old.last + 1)
        self.disk.create(self._current[lane])

    def file_at(self, key: Key, seq: int) -> DiskFile:
        return next(one for one in self.files() if one.key == key and one.first <= seq <= one.last)

    def read(self, key: Key, seq: int) -> Content | None:
        """None: it is bad, and now that is known."""
        file = self.file_at(key, seq)
        if seq in file.rotten:
            file.found_bad = seq
            return None
        return file.records[seq - file.first]

    def delete(self, key: Key) -> None:
        self.unlink([one for one in self.files() if one.key == key])

    def unlink(self, files: list[DiskFile]) -> None:
        """R9: the oldest first, and the session's last one only when those before it are gone for good."""
        for file in files:
            siblings = [one for one in self.files() if one.key == file.key]
            if len(siblings) == 1 or file.key in {one.key for one in self._current.values()}:
                self.before_last(siblings)
            self._drop(file)

    def before_last(self, siblings: list[DiskFile]) -> None:
        self.disk.sync_directory()

    def _drop(self, file: DiskFile) -> None:
        for content in file.records:
            self._gone(content)
        self.disk.unlink(file)

    def trim(self) -> bool:
        """R9: whether anything went."""
        went = False
        while sum(len(one.records) for one in self.files()) > self.bounds.records:
            candidates = self.candidates()
            if not candidates:
                break
            self.dropped.append(candidates[0].key)
            self.unlink(candidates[:1])
            went = True
        return went

    def candidates(self) -> list[DiskFile]:
        current = set(map(id, self._current.values()))
        return sorted((one for one in self.files() if id(one) not in current), key=self._worth)

    def _worth(self, file: DiskFile) -> tuple[bool, bool, int, int]:
        needed = file.last > self.acked.get(file.key, 0)
        return needed, needed and file.key.lane == "events", file.key.number, file.first

    def renew(self, key: Key) -> None:
        """A7: a new spool; what was in that session goes into it."""
        records = [one for file in self.files() if file.key == key for one in file.records]
        if key.spool_id == self.spool_id:
            self.spool_id = self.rng.randbytes(16)
            for lane in LANES:
                self.open(lane)
        for content in records:
            self.append(key.lane, content)
        for file in [one for one in self.files() if one.key == key]:
            self.disk.unlink(file)
