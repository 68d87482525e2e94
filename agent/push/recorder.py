"""Makes records of what was collected and of what happened, and puts them into the spool. Threads: one at a time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from agent.model import Batch, Block
from agent.push.held import Key
from agent.push.spool import Place, Spool
from agent.wire.encoder import Encoder
from agent.wire.events import body_of
from agent.wire.record import pack

if TYPE_CHECKING:  # where nobody watches, its room is not loaded
    from agent.eviction.journal import Event

ENDED_SLOTS_MAX: Final = 4000  # series that a file may name besides those that it began with
EVENTS_AT_ONCE: Final = 32  # of the longest events a record of so many is still taken


class Recorder:
    """Each of its methods gives the name of a record that may now be sent, where the disk took it."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._encoder = Encoder()
        self._key: Key | None = None
        self._named = 0

    def samples(self, batch: Batch, age_s: float) -> tuple[Key, int] | None:
        """``age_s``: how long ago the batch was made."""
        boot_ms = round((time.clock_gettime(time.CLOCK_BOOTTIME) - age_s) * 1000)
        unix_ms = round(batch.time_s * 1000)
        if self._key and self._encoder.slots > self._named + ENDED_SLOTS_MAX:
            self._spool.rotate(self._key)
        done = self._spool.append("samples", lambda place: self._tick(place, batch.blocks, unix_ms, boot_ms))
        self._key = done[0] if done else self._key
        return done

    def _tick(self, place: Place, blocks: Sequence[Block], unix_ms: int, boot_ms: int) -> bytes:
        if place.begins:
            self._encoder.begin(())
        body = self._encoder.tick(blocks, unix_ms, boot_ms)
        if place.begins:
            self._named = self._encoder.slots
        return pack(place.sid, place.seq, body)

    def events(self, events: Sequence[Event]) -> Iterator[tuple[Key, int] | None]:
        """Each record is on the disk when its name is given."""
        ahead_ms = round((time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)) * 1000)
        for start in range(0, len(events), EVENTS_AT_ONCE):
            yield self._told(events[start : start + EVENTS_AT_ONCE], ahead_ms)

    def _told(self, events: Iterable[Event], ahead_ms: int) -> tuple[Key, int] | None:
        body = body_of(events, ahead_ms)
        return self._spool.append("events", lambda place: pack(place.sid, place.seq, body))
