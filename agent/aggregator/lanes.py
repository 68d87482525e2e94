"""What is known of the sessions of one lane of one spool, and what a list of them changes about it. Pure, immutable.

A spool lists all that it holds. So a session that is not listed any more, with a higher one listed, is gone; and what
of it had not come is lost. ``base``, how many records were numbered in the lane before a session, tells how many.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

Reason = Literal["UNSPECIFIED", "SPOOL_FULL", "CORRUPT", "DISK", "DISK_PRESSURE", "VANISHED", "REJECTED"]


class Key(NamedTuple):
    """A session's name, as the agent has it. ``lane``: "samples" or "events"."""

    spool_id: bytes
    lane: str
    number: int


class Place(NamedTuple):
    """Whose lane: two nodes with one spool_id, which a copied disk gives, are two."""

    node: str
    spool_id: bytes
    lane: str


class Listed(NamedTuple):
    """A session as a Hello has it."""

    key: Key
    sid: bytes
    base: int
    last: int
    sealed: bool


class Open(NamedTuple):
    """A session that is not over. ``last`` is known once it was listed as sealed."""

    number: int
    sid: bytes
    base: int
    committed: int = 0
    last: int | None = None


class Lane(NamedTuple):
    """``top`` is the highest number that was ever listed; ``seen_unix_s`` when the spool last was."""

    top: int = 0
    open: tuple[Open, ...] = ()
    seen_unix_s: int = 0


class Gap(NamedTuple):
    """Lost for good: from record ``first`` of session ``first_number`` to ``last`` of ``last_number``.

    ``last`` None is whatever came last there, ``records`` None is nobody knows how many.
    """

    place: Place
    first_number: int
    last_number: int
    first: int
    last: int | None
    records: int | None
    reason: Reason


def listing(place: Place, lane: Lane, listed: Iterable[Listed], now_unix_s: int) -> tuple[Lane, list[Gap]]:
    """The lane and what is lost, after a Hello with these sessions of it: at least one."""
    sessions = {one.key.number: one for one in listed}
    highest = max(sessions)
    gone = [one for one in lane.open if vanished(one, sessions, highest)]
    kept = [_seen(one, sessions.get(one.number)) for one in lane.open if one not in gone]
    new = [Open(n, one.sid, one.base, 0, _last(one)) for n, one in sessions.items() if n > lane.top]
    gaps = list(_gaps(place, lane, gone, sessions))
    return Lane(max(lane.top, highest), tuple(sorted(kept + new)), now_unix_s), gaps


def vanished(one: Open, sessions: Mapping[int, Listed], highest: int) -> bool:
    """One above the highest is not: this is a delayed Hello of a dead process, and that is its successor's."""
    return one.number < highest and one.number not in sessions


def ended(place: Place, lane: Lane) -> list[Gap]:
    """What may be lost when nobody speaks of the lane any more."""
    return [gap for one in lane.open for gap in _rest(place, one, one.last)]


def _seen(one: Open, listed: Listed | None) -> Open:
    same = listed is not None and listed.sid == one.sid and listed.sealed
    return one._replace(last=listed.last) if listed and same else one


def _last(one: Listed) -> int | None:
    return one.last if one.sealed else None


def _gaps(place: Place, lane: Lane, gone: list[Open], sessions: Mapping[int, Listed]) -> Iterator[Gap]:
    """Of known sessions that are gone, and of numbers that never were listed. A run of such is one gap.

    What was sent before it was synced, and then lost power, counts in ``committed`` but in no base. So that a run
    counts 0 does not prove it empty, unless the session before it is listed here.
    """
    bases = {one.number: one.base for one in lane.open} | {n: one.base for n, one in sessions.items()}
    ends = {one.number: one.base + one.last for one in lane.open if one.last is not None}
    sure = {n: one.base + one.last for n, one in sessions.items()} | ({} if lane.top else {0: 0})
    ends |= sure
    run = None  # of the highest known session when its end is not, and of what vanished behind it
    for one in gone:
        end = one.last
        if end is None and one.number + 1 in bases:
            end = bases[one.number + 1] - one.base
        if end is None and one.number == lane.top:
            run = one
        else:
            yield from _rest(place, one, end)
    before = lane.top
    for number in sorted(n for n in sessions if n > lane.top):
        if run:
            records = max(0, bases[number] - run.base - run.committed)
            yield Gap(place, run.number, number - 1, run.committed + 1, None, records, "VANISHED")
        elif number > before + 1:
            known = max(0, bases[number] - ends[before]) if before in ends else None
            if known != 0 or before not in sure:
                yield Gap(place, before + 1, number - 1, 1, None, known, "VANISHED")
        before, run = number, None


def _rest(place: Place, one: Open, last: int | None) -> Iterator[Gap]:
    if last is None or last > one.committed:
        records = None if last is None else last - one.committed
        yield Gap(place, one.number, one.number, one.committed + 1, last, records, "VANISHED")
