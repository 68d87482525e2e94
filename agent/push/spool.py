"""Records on this node's disk until an aggregator has them: append-only files, a live session per lane, no metadata.

What a killed process appended is there; what a power cut takes is at most ``sync_s`` of samples and no event. A record
that the disk did not take has a number all the same, so that its loss is declared. A second process makes a spool of
its own, and takes over the first one's when that has ended. R1 ... R12 are the rules of the stream. Threads: any; one
lock, held while the disk works.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Final

from agent.errors import SpoolError
from agent.push.disk import Disk
from agent.push.held import LANES, File, Held, Key, Lane
from agent.push.live_session import Limits, LiveSession, Make, Place, create, sync
from agent.push.reader import survey
from agent.push.shelf import Dropped, Shelf
from agent.push.spool_telemetry import SpoolTelemetry
from agent.wire.frame import frame

__all__ = ["Dropped", "Limits", "Place", "Spool"]

PRESSURE_FROM: Final = 1.5  # the margin, in thresholds, at which the spool begins to yield; at 1 it has given all
EXPIRE_EVERY_S: Final = 60.0
FILE_BYTES_MIN: Final = 4096


class Spool:
    """``telemetry`` counts. ``close`` lets go; nothing else may be called after it."""

    def __init__(
        self,
        root: str,
        limits: Limits | None = None,
        disk: Disk | None = None,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Opens what is there, with a new session for each lane (R1). Raises SpoolError when nothing can be written."""
        self._root = root
        self._disk = disk or Disk()
        self._random = random
        self._lock = threading.RLock()
        self._shelf = Shelf(root, self._disk)
        self._live: dict[Lane, LiveSession] = {}
        self._own: dict[Lane, bytes] = {}
        self._expired_s = self._disk.monotonic_s()
        try:
            self._disk.make_directory(root)
            limits = limits or Limits(min(Limits().max_bytes, self._disk.filesystem_bytes(root) // 100))
            part = max(FILE_BYTES_MIN, limits.max_bytes // 8)  # what is written to is never deleted
            self.limits = limits._replace(file_bytes=min(limits.file_bytes, part))
            self._allowed = self.limits.max_bytes
            own = self._shelf.take_over()
            if own is None:
                own = random(16)
                self._shelf.make(own)
            self._own = dict.fromkeys(LANES, own)
            for lane in LANES:
                self.open_session(lane)
            self._reclaim()
        except OSError as error:
            self.close()
            raise SpoolError(f"{root}: {error.strerror or error}") from None
        except SpoolError:
            self.close()
            raise

    @property
    def telemetry(self) -> SpoolTelemetry:
        return self._shelf.telemetry

    @property
    def size_bytes(self) -> int:
        """On disk now."""
        return self._shelf.size_bytes

    def held(self) -> tuple[Held, ...]:
        """Every session, the oldest first; one without files has records that went before they were acknowledged."""
        with self._lock:
            return tuple(self._shelf.held.values())

    def changes(self) -> tuple[Dropped, ...] | None:
        """What is gone since the last call; None when ``held()`` is as it was but for what was appended."""
        with self._lock:
            if not self._shelf.changed:
                return None
            dropped = tuple(self._shelf.dropped)
            self._shelf.dropped.clear()
            self._shelf.changed = False
            return dropped

    # Writing.

    def append(self, lane: Lane, make: Make) -> tuple[Key, int] | None:
        """Writes the serialized Record that ``make`` gives for a place, and says its name. An event is synced then.

        ``make`` is called again, for the start of another file, when the first did not take it. None when the disk
        takes nothing: the record's number is spent, and its loss among the changes.
        """
        with self._lock:
            live = self._live[lane]
            seq = live.append(make)
            self._reclaim()
            return None if seq is None else (live.key, seq)

    def maintain(self) -> None:
        """Every second or so: what waits is synced, what is old goes."""
        with self._lock:
            for live in self._live.values():
                live.maintain()
            if self._disk.monotonic_s() - self._expired_s >= EXPIRE_EVERY_S:
                self._expired_s = self._disk.monotonic_s()
                self._shelf.expire(self.limits.max_age_s)
                self._adopt()
            self._reclaim()

    def _adopt(self) -> None:
        """What another process left behind since we began."""
        try:
            self._shelf.take_over(self._own["samples"])
        except OSError:
            self.telemetry.errors.inc("read")
        for lane in LANES:
            self._shelf.make_room(lane, self.limits.sessions + 1)
        self._let_go()

    def close(self) -> None:
        """Syncs and lets go; that seals the sessions."""
        with self._lock:
            for live in self._live.values():
                live.finish()
            self._live.clear()
            self._shelf.close()

    # Reading.

    def header(self, key: Key, first: int) -> bytes | None:
        """The serialized Header of the file that begins with ``first``; None when it cannot be read (any more). Raises
        SpoolError when it could be another time."""
        with self._lock:
            return self._shelf.header(key, first)

    def record(self, key: Key, seq: int) -> bytes | None:
        """The serialized Record; as ``header``. Cheap for the one after the last."""
        with self._lock:
            return self._shelf.record(key, seq)

    # Sessions.

    def open_session(self, lane: Lane) -> None:
        """Seals the lane's live session and opens a new one, which is on disk then (R1, R2). Raises SpoolError."""
        with self._lock:
            self._shelf.make_room(lane, self.limits.sessions)
            spool_id = self._own[lane]
            key = Key(spool_id, lane, self._shelf.top.get((spool_id, lane), 0) + 1)
            before = [one.base + one.last for one in self._shelf.held.values() if one.key[:2] == key[:2]]
            held = Held(key, self._random(16), max(before, default=0), 0, False, ())
            try:
                opened = LiveSession(self._shelf, self._disk, self.limits, held)
            except OSError as error:
                raise SpoolError(f"{self._root}: no new session: {error.strerror or error}") from None
            old = self._live.get(lane)
            if old:
                old.finish()
                self._shelf.put(self._shelf.held[old.key]._replace(sealed=True))
            self._live[lane] = opened

    def rotate(self, key: Key) -> None:
        """The live session's current file cannot be read to its end (R7)."""
        with self._lock:
            for live in self._live.values():
                live.rotate = live.rotate or live.key == key

    def renew(self, key: Key) -> None:
        """This spool is a copy of another that has a session of that number too (A7): what the live session holds goes
        to a new spool, as its first session, and the next one is live. Raises SpoolError, and all is as it was."""
        with self._lock:
            live = self._live.get(key.lane)
            if live is None or live.key != key:
                return
            old, moved = self._shelf.held[key], Key(self._random(16), key.lane, 1)
            try:
                self._shelf.make(moved.spool_id)
                for file in old.files:
                    self._copy(old, file, moved)
            except (OSError, SpoolError) as error:
                self._shelf.discard(moved.spool_id)
                raise SpoolError(f"{self._root}: no new spool: {error}") from None
            found = survey(self._disk, self._shelf.directory(moved.spool_id), moved.spool_id).sessions[0]
            self._shelf.put(found._replace(last=old.last), sum(file.size_bytes for file in found.files))
            self._own[key.lane], self._shelf.top[moved[:2]] = moved.spool_id, 1
            self.open_session(key.lane)
            self.delete(key)

    def _copy(self, old: Held, file: File, moved: Key) -> None:
        """A file of another session, with a header that says so."""
        copy = create(self._shelf, self._disk, old._replace(key=moved, base=0), file.first)
        try:
            for seq in range(file.first, file.readable + 1):
                record = self._shelf.record(old.key, seq)
                if record is None:
                    break  # it is declared, as it would have been
                copy.append(frame(record))
            sync(self._shelf, self._disk, copy)
        finally:
            copy.close()

    # What may go.

    def acked(self, key: Key, seq: int) -> None:
        """The aggregator has every record up to that one: its word goes, also when it is less than it was (R6)."""
        with self._lock:
            self._shelf.acked(key, seq)

    def delete(self, key: Key) -> None:
        """The session is over. The live one stays: its number would be given out again."""
        with self._lock:
            held = self._shelf.held.get(key)
            if held and held.sealed:
                self._shelf.delete(key)
                self._let_go()

    def yield_disk(self, margin: float) -> None:
        """How far the disk under the spool is from its eviction threshold: what is available, in thresholds. Below 1.5
        the spool gives way, at 1 it has given all but events and what it writes to."""
        with self._lock:
            share = max(0.0, min(1.0, (margin - 1) / (PRESSURE_FROM - 1)))
            self._allowed = int(self.limits.max_bytes * share)
            self._reclaim()

    def _reclaim(self) -> None:
        self.telemetry.limit.value = self._allowed
        if self.size_bytes <= self._allowed:
            return
        self._shelf.reclaim(self.limits.max_bytes, "SPOOL_FULL", events=True)
        self._shelf.reclaim(self._allowed, "DISK_PRESSURE", events=False)
        self._let_go()

    def _let_go(self) -> None:
        for spool_id in self._shelf.empty_spools(set(self._own.values())):
            self._shelf.let_go(spool_id)
