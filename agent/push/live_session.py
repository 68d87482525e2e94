"""A lane's live session: where records are appended, synced and, when the disk fails, put elsewhere or given up.

A record that the disk did not take has a number all the same, so that its loss is declared. Threads: the Spool's lock.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final, NamedTuple

from agent.errors import SpoolError
from agent.push.disk import Disk
from agent.push.held import File, Held, Key
from agent.push.live_file import LiveFile
from agent.push.shelf import Dropped, Shelf
from agent.push.spool_format import RECORD_BYTES_MAX, Name, is_record, pack_header
from agent.wire.frame import frame

NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)


class Limits(NamedTuple):
    """Of a spool. ``sessions`` are of one lane, so that a Hello names at most 64."""

    max_bytes: int = 256 << 20
    max_age_s: float = 7 * 86400.0
    file_bytes: int = 1 << 20
    file_age_s: float = 900.0
    sessions: int = 32
    sync_s: float = 5.0
    sync_bytes: int = 256 << 10


class Place(NamedTuple):
    """Where the next record goes. ``begins``: at the start of a file, so it must need nothing that was before."""

    key: Key
    sid: bytes
    seq: int
    begins: bool


Make = Callable[[Place], bytes]


class LiveSession:
    """``rotate``: what is appended next begins another file."""

    def __init__(self, shelf: Shelf, disk: Disk, limits: Limits, held: Held) -> None:
        """Its first file is on disk then (R2). Raises OSError, and then there is none."""
        self._shelf = shelf
        self._disk = disk
        self._limits = limits
        self.key = held.key
        self.rotate = False
        self._sid = held.sid
        self._file = create(shelf, disk, held, 1)
        try:
            sync(shelf, disk, self._file)
        except OSError:
            self._file.discard()
            raise
        size_bytes = self._file.size_bytes
        shelf.put(held._replace(files=(File(1, 0, size_bytes),)), size_bytes)
        shelf.top[self.key[:2]] = self.key.number
        shelf.changed = True

    def append(self, make: Make) -> int | None:
        """The record's number; None when the disk takes nothing."""
        seq = self._shelf.held[self.key].last + 1
        try:
            self._append(seq, make)
        except OSError:
            self._lose(seq)
            return None
        except BaseException:
            self.rotate = True  # whoever makes records may be ahead of what is in the file
            raise
        self._shelf.telemetry.records.inc(self.key.lane)
        return seq

    def _append(self, seq: int, make: Make) -> None:
        if not self._must_rotate(seq):
            try:
                self._extend(seq, make)
                return
            except OSError:
                if self._current().first == seq:
                    raise  # another file would have the same name
        try:
            self._rotate(seq, make)
        except OSError as error:
            if error.errno not in NO_SPACE or not self._shelf.give_acked():
                raise
            self._rotate(seq, make)

    def _must_rotate(self, seq: int) -> bool:
        current = self._current()
        if self._file.suspect or current.damaged:
            return True
        if current.first == seq:
            return False
        old = self._disk.monotonic_s() - self._file.opened_s >= self._limits.file_age_s
        return self.rotate or old or current.size_bytes >= self._limits.file_bytes

    def _current(self) -> File:
        return self._shelf.held[self.key].files[-1]

    def _extend(self, seq: int, make: Make) -> None:
        """One more record in the current file. Raises OSError, and then it is not in it."""
        begins = self._current().first == seq
        framed = _framed(Place(self.key, self._sid, seq, begins), make)
        if begins:
            self._file.opened_s = self._disk.monotonic_s()  # a file that waited for its first record is not old
        try:
            self._file.append(framed)
        except OSError:
            self._shelf.telemetry.errors.inc("write")
            raise
        try:
            self._sync_due(self._file)
        except OSError:
            if self.key.lane == "events":
                self._file.take_back(len(framed))
                raise
        self.rotate = False
        held = self._shelf.held[self.key]
        file = held.files[-1]._replace(readable=seq, size_bytes=self._file.size_bytes)
        self._shelf.put(held._replace(last=seq, files=held.files[:-1] + (file,)), len(framed))

    def _rotate(self, seq: int, make: Make) -> None:
        """A new file, with one record. Raises OSError, and then there is none."""
        held = self._shelf.held[self.key]
        framed = _framed(Place(self.key, self._sid, seq, True), make)
        file = create(self._shelf, self._disk, held, seq, framed)
        try:
            self._sync_due(file)
        except OSError:
            if self.key.lane == "events":
                file.discard()
                raise
        self.finish()
        self._file, self.rotate = file, False
        added = File(seq, seq, file.size_bytes)
        self._shelf.put(held._replace(last=seq, files=held.files + (added,)), file.size_bytes)
        self._shelf.changed = True

    def _lose(self, seq: int) -> None:
        """The disk took it not."""
        self.rotate = True
        self._shelf.put(self._shelf.held[self.key]._replace(last=seq))
        self._shelf.gone(Dropped(self.key, seq, seq, "DISK"))

    def maintain(self) -> None:
        """What waited long enough is synced."""
        try:
            self._sync_due(self._file)
        except OSError:
            pass  # it is counted, and the file takes nothing more

    def _sync_due(self, file: LiveFile) -> None:
        late = self._disk.monotonic_s() - file.synced_s >= self._limits.sync_s
        due = self.key.lane == "events" or late or file.unsynced_bytes >= self._limits.sync_bytes
        if file.unsynced_bytes and due and not file.suspect:
            sync(self._shelf, self._disk, file)

    def finish(self) -> None:
        """Nothing more is written to the current file."""
        try:
            if self._file.unsynced_bytes and not self._file.suspect:
                sync(self._shelf, self._disk, self._file)
        except OSError:
            pass  # it is counted; what a power cut takes of it is declared then
        self._file.close()


def create(shelf: Shelf, disk: Disk, held: Held, first: int, framed: bytes = b"") -> LiveFile:
    """A file of that session, with its header. Raises OSError, and then there is none."""
    key = held.key
    name = Name(key.lane, key.number, held.sid, first)
    try:
        return LiveFile(disk, shelf.path(key.spool_id, name), pack_header(key.spool_id, name, held.base) + framed)
    except OSError:
        shelf.telemetry.errors.inc("create")
        raise


def sync(shelf: Shelf, disk: Disk, file: LiveFile) -> None:
    """Raises OSError, and then the file is suspect."""
    began_s = disk.monotonic_s()
    try:
        file.sync()
    except OSError:
        shelf.telemetry.errors.inc("sync")
        raise
    finally:
        shelf.telemetry.sync_s.observe(disk.monotonic_s() - began_s)


def _framed(place: Place, make: Make) -> bytes:
    record = make(place)
    if not is_record(record, place.sid, place.seq) or len(record) > RECORD_BYTES_MAX:
        raise SpoolError(f"{len(record)} bytes are not record {place.seq} of {place.key.lane}")
    return frame(record)
