"""Mistakes in the two ends and in the spool: a simulation that does not catch them proves nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from agent.aggregator import lanes
from agent.aggregator.commit import State
from agent.aggregator.ingest import Ingest
from agent.aggregator.lanes import Gap, Lane, Listed, Open, Place
from agent.push.commands import Command, Reason, SendHeader, SendHello, SendLost, SendRecord
from agent.push.cursor import Cursor
from agent.push.session import Session
from tests.stream.disk import DiskFile
from tests.stream.ends import Mistakes
from tests.stream.spool import Spool


class Planted(NamedTuple):
    """``patches``: names in the modules under test, and what stands there instead."""

    parts: type[Mistakes]
    patches: Mapping[str, Any] = {}


def with_parts(**parts: Any) -> type[Mistakes]:
    return type("Parts", (Mistakes,), parts)


# The spool.


class AppendsToOld(Spool):
    """Goes on in the file that the last process wrote."""

    def open(self, lane: Any) -> None:
        old = [one for one in self.files() if (one.key.spool_id, one.key.lane) == (self.spool_id, lane)]
        if old and lane not in self._current:
            self._current[lane] = max(old, key=lambda one: (one.key.number, one.first))
        else:
            super().open(lane)


class ReclaimsNewest(Spool):
    """The current file may go too."""

    def candidates(self) -> list[DiskFile]:
        return sorted((one for one in self.files() if one.records), key=self._worth)

    def unlink(self, files: list[DiskFile]) -> None:
        super().unlink(files)
        for lane in [lane for lane, current in self._current.items() if current in files]:
            self.rotate(lane)


class HeaderNotSynced(Spool):
    def sync_header(self, file: DiskFile) -> None:
        pass


class EventsNotSynced(Spool):
    def sync_event(self, file: DiskFile) -> None:
        pass


class UnlinksInAnyOrder(Spool):
    def before_last(self, siblings: list[DiskFile]) -> None:
        pass


class NoSpoolId(Spool):
    def find_id(self) -> bytes:
        return bytes(16)


# The agent's end.


class OwnMemory(Session):
    """Believes the acks that it remembers."""

    def _begin(self, cursor: Cursor, committed: int) -> None:
        super()._begin(cursor, max(committed, cursor.acked))


class NoSealing(Session):
    def _to_seal(self, cursor: Cursor) -> bool:
        return False

    def _lags(self, cursor: Cursor) -> bool:
        return False


class NoLagRule(Session):
    def _lags(self, cursor: Cursor) -> bool:
        return False


class BackfillFirst(Session):
    def _turns(self) -> Iterable[tuple[Cursor, int]]:
        return reversed(list(super()._turns()))


class HelloCut(Session):
    def _hello(self) -> Command:
        return SendHello(tuple(one.held for one in self._cursors.values())[-4:])


class NoLost(Cursor):
    """Goes on behind what cannot be read."""

    def step(self) -> SendHeader | SendRecord | SendLost | None:
        command = super().step()
        return super().step() if isinstance(command, SendLost) else command


class ResumesInTheMiddle(Cursor):
    def step(self) -> SendHeader | SendRecord | SendLost | None:
        at = self._next
        command = super().step()
        if isinstance(command, SendHeader):
            self._next = at
        return command


class SkipsOneRecord(Cursor):
    """A bad record costs only itself."""

    def __init__(self, held: Any) -> None:
        super().__init__(held)
        self._skip = 0

    def unreadable(self, seq: int, reason: Reason) -> None:
        self._skip = self._next = seq

    def step(self) -> SendHeader | SendRecord | SendLost | None:
        if self._skip and self._next == self._skip:
            self._next, self._skip = self._skip + 1, 0
            return SendLost(self.held.key, self._next - 1, self._next - 1, "CORRUPT")
        return super().step()


# The aggregator's end.


class WelcomeCountsPending(Ingest):
    def _state(self, node: str, listed: Listed) -> State:
        state = super()._state(node, listed)
        found = self._sessions.get((Place(node, listed.key.spool_id, listed.key.lane), listed.key.number))
        return state if state.closed or not found else state._replace(committed=found.expected - 1)


class SkipsSilently(Ingest):
    """What comes is taken, whatever is missing before it."""

    def _check_turn(self, session: Any, seq: int) -> None:
        session.expected = max(session.expected, seq)


class NoDedup(Ingest):
    def _known(self, session: Any, seq: int) -> bool:
        return False


class LostNotTrimmed(Ingest):
    def _trimmed(self, session: Any, first: int) -> int:
        return first


def never_vanished(one: Open, sessions: Mapping[int, Listed], highest: int) -> bool:
    return False


def any_unlisted(one: Open, sessions: Mapping[int, Listed], highest: int) -> bool:
    return one.number not in sessions


REAL_LISTING: Final = lanes.listing


def forgets_closed(place: Place, lane: Lane, listed: Iterable[Listed], now_unix_s: int) -> tuple[Lane, list[Gap]]:
    """One that is over begins again when it is listed again."""
    listed = list(listed)
    after, gaps = REAL_LISTING(place, lane, listed, now_unix_s)
    there = {one.number for one in after.open}
    again = [Open(one.key.number, one.sid, one.base) for one in listed if one.key.number not in there]
    return after._replace(open=tuple(sorted((*after.open, *again)))), gaps


CURSOR: Final = "agent.push.session.Cursor"
VANISHED: Final = "agent.aggregator.lanes.vanished"
LISTING: Final = "agent.aggregator.ingest.listing"
MISTAKES: Final[Mapping[str, Planted]] = {
    "append to an old session": Planted(with_parts(spool=AppendsToOld)),
    "delete on send": Planted(with_parts(delete_when_sent=True)),
    "ack before commit": Planted(with_parts(ack_first=True)),
    "Welcome counts pending": Planted(with_parts(ingest=WelcomeCountsPending)),
    "no Lost": Planted(with_parts(), {CURSOR: NoLost}),
    "silent skip": Planted(with_parts(ingest=SkipsSilently), {CURSOR: NoLost}),
    "vanished sessions not closed": Planted(with_parts(), {VANISHED: never_vanished}),
    "any unlisted session closed": Planted(with_parts(), {VANISHED: any_unlisted}),
    "no sealing": Planted(with_parts(session=NoSealing)),
    "no lag rule": Planted(with_parts(session=NoLagRule)),
    "backfill first": Planted(with_parts(session=BackfillFirst)),
    "closed sessions forgotten": Planted(with_parts(), {LISTING: forgets_closed}),
    "newest file reclaimed": Planted(with_parts(spool=ReclaimsNewest)),
    "header not synced": Planted(with_parts(spool=HeaderNotSynced)),
    "Hello list cut": Planted(with_parts(session=HelloCut)),
    "own memory of acks trusted": Planted(with_parts(session=OwnMemory)),
    "resume in the middle of a file": Planted(with_parts(), {CURSOR: ResumesInTheMiddle}),
    "skip one corrupt record": Planted(with_parts(), {CURSOR: SkipsOneRecord}),
    "no dedup": Planted(with_parts(ingest=NoDedup)),
    "Lost not trimmed": Planted(with_parts(ingest=LostNotTrimmed)),
    "events not synced": Planted(with_parts(spool=EventsNotSynced)),
    "unlink in any order": Planted(with_parts(spool=UnlinksInAnyOrder)),
    "no spool id": Planted(with_parts(spool=NoSpoolId)),
}
