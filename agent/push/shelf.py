"""What this process holds of its spools: which sessions and files, how to read them, and which go for lack of room.

A directory is one spool, and its name the spool_id. Whoever opens it holds its lock; all that nobody holds is taken
over, so that what another process left is sent. Threads: one at a time, the Spool's lock.
"""

from __future__ import annotations

import os
from collections import deque
from typing import Final, NamedTuple

from agent.errors import SpoolError
from agent.push.commands import Reason
from agent.push.disk import Disk
from agent.push.held import File, Held, Key, Lane
from agent.push.reader import Reader, survey
from agent.push.spool_format import Name, Victim, last_of, least, parse_directory, victims
from agent.push.spool_telemetry import SpoolTelemetry

DROPPED_MAX: Final = 256  # told one by one; what is gone can be seen in ``held`` anyway


class Dropped(NamedTuple):
    """Records that are gone and were not acknowledged, both ends included."""

    key: Key
    first: int
    last: int
    reason: Reason


class Shelf:
    """``held`` is in the order of the sessions' age. ``changed``: it is another for any reason but an append."""

    def __init__(self, root: str, disk: Disk) -> None:
        self._root = root
        self._disk = disk
        self._reader = Reader(disk)
        self._acked: dict[Key, int] = {}
        self._locks: dict[bytes, int] = {}
        self.held: dict[Key, Held] = {}
        self.top: dict[tuple[bytes, Lane], int] = {}
        self.dropped: deque[Dropped] = deque(maxlen=DROPPED_MAX)
        self.changed = False
        self.telemetry = SpoolTelemetry()

    @property
    def size_bytes(self) -> int:
        return self.telemetry.bytes.value

    def put(self, held: Held, more_bytes: int = 0) -> None:
        self.held[held.key] = held
        self.telemetry.bytes.value += more_bytes
        self.telemetry.sessions.value = len(self.held)

    def acked_of(self, key: Key) -> int:
        return self._acked.get(key, 0)

    def acked(self, key: Key, seq: int) -> None:
        held = self.held.get(key)
        if held is None:
            return
        self._acked[key] = min(seq, held.last)
        if held.sealed and not held.files and self._acked[key] >= held.last:
            self.forget(key)

    # Directories.

    def take_over(self, own: bytes | None = None) -> bytes | None:
        """Every spool that nobody holds. The one that is written to from now on, if there is any: by default one of
        those. Raises OSError."""
        before = len(self._locks)
        for spool_id in spool_ids(self._disk, self._root):
            try:
                if spool_id not in self._locks:
                    self._take(spool_id)
            except OSError:
                self.telemetry.errors.inc("read")  # it may be another's, or broken; ours goes on without it
        own = own or min(self._locks, default=None)
        self.held = dict(sorted(self.held.items(), key=lambda item: (item[0].spool_id == own, item[0].number)))
        self.changed = self.changed or len(self._locks) > before
        return own

    def _take(self, spool_id: bytes) -> None:
        directory = self.directory(spool_id)
        fd = self._disk.lock(directory)
        if fd is None:
            return
        try:
            found = survey(self._disk, directory, spool_id)
        except OSError:
            self._disk.close(fd)
            raise
        self._locks[spool_id] = fd
        self.telemetry.errors.inc("foreign", by=found.ignored)
        for held in found.sessions:
            self.top[held.key[:2]] = held.key.number
            self.put(held, sum(file.size_bytes for file in held.files))

    def make(self, spool_id: bytes) -> None:
        """A new spool. Raises OSError, SpoolError."""
        directory = self.directory(spool_id)
        self._disk.make_directory(directory)
        fd = self._disk.lock(directory)
        if fd is None:
            raise SpoolError(f"{directory}: another process holds it")
        self._locks[spool_id] = fd
        self._disk.sync_directory(self._root)

    def let_go(self, spool_id: bytes) -> None:
        """An older spool in which nothing is left."""
        try:
            self._disk.remove_directory(self.directory(spool_id))
        except OSError:
            return  # something foreign is in it
        self._disk.close(self._locks.pop(spool_id))

    def discard(self, spool_id: bytes) -> None:
        """A new spool that came to nothing."""
        directory = self.directory(spool_id)
        try:
            for name in self._disk.names(directory):
                self._disk.unlink(os.path.join(directory, name))
        except OSError:
            pass  # what is left is a copy, and would be delivered twice
        if spool_id in self._locks:
            self.let_go(spool_id)

    def empty_spools(self, used: set[bytes]) -> list[bytes]:
        return [one for one in self._locks if one not in used and all(key.spool_id != one for key in self.held)]

    def close(self) -> None:
        self._reader.close()
        for fd in self._locks.values():
            self._disk.close(fd)
        self._locks.clear()

    def directory(self, spool_id: bytes) -> str:
        return os.path.join(self._root, spool_id.hex())

    def path(self, spool_id: bytes, name: Name) -> str:
        return os.path.join(self.directory(spool_id), str(name))

    # Reading.

    def header(self, key: Key, first: int) -> bytes | None:
        held = self.held.get(key)
        file = next((one for one in held.files if one.first == first), None) if held else None
        if held is None or file is None:
            return None
        header = self._reader.header(self.directory(key.spool_id), key, _name(held, file))
        if header is None:
            self._damaged(held, file, first)
        return header

    def record(self, key: Key, seq: int) -> bytes | None:
        held = self.held.get(key)
        file = next((one for one in held.files if one.first <= seq <= one.readable), None) if held else None
        if held is None or file is None:
            return None
        record = self._reader.record(self.directory(key.spool_id), key, _name(held, file), seq)
        if isinstance(record, int):
            self._damaged(held, file, record)
            return None
        return record

    def _damaged(self, held: Held, file: File, seq: int) -> None:
        """From ``seq`` on the file cannot be read."""
        self._reader.leave(held.key)
        index = held.files.index(file)
        first = max(seq, self.acked_of(held.key) + 1)
        self.telemetry.errors.inc("read")
        self.telemetry.dropped.inc(held.key.lane, "corrupt", by=max(0, last_of(held, index) - first + 1))
        cut = file._replace(readable=seq - 1, damaged=True)
        self.held[held.key] = held._replace(files=held.files[:index] + (cut,) + held.files[index + 1 :])
        self.changed = True

    # Deleting.

    def reclaim(self, allowed_bytes: int, reason: Reason, events: bool) -> None:
        """Deletes until no more than that is left (R9); unacknowledged events only where ``events``."""
        if self.size_bytes <= allowed_bytes:
            return
        for victim in self._victims():
            if self.size_bytes <= allowed_bytes or (victim.key.lane == "events" and not (events or victim.acked)):
                return
            if not self._drop(victim, reason):
                return

    def give_acked(self) -> bool:
        """Whether the oldest file that nobody needs could go."""
        victim = next(iter(self._victims()), None)
        return victim is not None and victim.acked and self._drop(victim, "DISK")

    def expire(self, max_age_s: float) -> None:
        for victim in self._victims():
            held = self.held[victim.key]
            try:
                _, age_s = self._disk.size_and_age_s(self.path(victim.key.spool_id, _name(held, victim.file)))
            except OSError:
                continue  # whoever deleted it is not us; reading it will tell
            if age_s > max_age_s and held.files[0] == victim.file:
                self._drop(victim, "SPOOL_FULL")

    def delete(self, key: Key, reason: Reason | None = None) -> None:
        """A whole sealed session; ``reason`` says why what was not acknowledged of it is lost, if it is."""
        for victim in victims([self.held[key]], self.acked_of):
            if not self._drop(victim, reason):
                break
        if key in self.held:
            self.forget(key)

    def make_room(self, lane: Lane, most: int) -> None:
        """For one more session of the lane (R10)."""
        while sum(key.lane == lane for key in self.held) >= most:
            key = least(list(self.held.values()), lane, self.acked_of)
            if key is None:
                return
            self.delete(key, "SPOOL_FULL")

    def _victims(self) -> list[Victim]:
        return victims(list(self.held.values()), self.acked_of)

    def _drop(self, victim: Victim, reason: Reason | None) -> bool:
        """Whether it could be deleted. A session's last file goes when it is certain that the others are gone (R9)."""
        held = self.held[victim.key]
        try:
            if len(held.files) == 1:
                self._disk.sync_directory(self.directory(victim.key.spool_id))
            self._disk.unlink(self.path(victim.key.spool_id, _name(held, victim.file)))
        except FileNotFoundError:
            pass
        except OSError:
            self.telemetry.errors.inc("delete")
            return False
        files = tuple(one for one in held.files if one != victim.file)
        self.put(held._replace(files=files), -victim.file.size_bytes)
        self.changed = True
        first = max(victim.file.first, self.acked_of(victim.key) + 1)
        if reason and first <= victim.last:
            self.gone(Dropped(victim.key, first, victim.last, reason))
        if not files and held.last <= self.acked_of(victim.key):
            self.forget(victim.key)
        return True

    def gone(self, one: Dropped) -> None:
        self.changed = True
        self.telemetry.dropped.inc(one.key.lane, one.reason.lower(), by=one.last - one.first + 1)
        before = self.dropped[-1] if self.dropped else None
        if before and (before.key, before.reason, before.last + 1) == (one.key, one.reason, one.first):
            self.dropped[-1] = before._replace(last=one.last)
        else:
            self.dropped.append(one)

    def forget(self, key: Key) -> None:
        """Nothing is left of it."""
        self._reader.leave(key)
        del self.held[key]
        self._acked.pop(key, None)
        self.changed = True
        self.telemetry.sessions.value = len(self.held)


def spool_ids(disk: Disk, root: str) -> list[bytes]:
    """Raises OSError."""
    return [spool_id for spool_id in map(parse_directory, disk.names(root)) if spool_id]


def is_taken(disk: Disk, root: str) -> bool:
    """Whether there are spools, and other processes hold all of them. Raises OSError."""
    taken = False
    for spool_id in spool_ids(disk, root):
        fd = disk.lock(os.path.join(root, spool_id.hex()))
        if fd is not None:
            disk.close(fd)
            return False
        taken = True
    return taken


def _name(held: Held, file: File) -> Name:
    return Name(held.key.lane, held.key.number, held.sid, file.first)
