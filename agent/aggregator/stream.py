"""What ingest keeps in memory of each stream and of each open session, and which lists of sessions it takes."""

from __future__ import annotations

from agent.aggregator.lanes import Key, Listed, Open, Place
from agent.errors import ProtocolError

LANES = ("events", "samples")
NUMBER_MAX = 2**64 - 1
ID_BYTES = 16


class OpenSession:
    """``expected`` is the next record to take, behind all that waits for a commit; ``committed`` is durable."""

    __slots__ = ("committed", "expected", "key", "over", "place", "sid")

    def __init__(self, place: Place, known: Open) -> None:
        self.place = place
        self.key = Key(place.spool_id, place.lane, known.number)
        self.sid = known.sid
        self.committed = known.committed
        self.expected = known.committed + 1
        self.over = False


class Stream:
    """``entered``: the next record of the file that each session, by its sid, is in on this stream."""

    __slots__ = ("entered", "listed", "node", "sessions", "welcomed")

    def __init__(self, node: str, listed: tuple[Listed, ...]) -> None:
        self.node = node
        self.listed = listed
        self.sessions: dict[bytes, OpenSession] = {}
        self.entered: dict[bytes, int] = {}
        self.welcomed = False

    def places(self) -> set[Place]:
        return {place_of(self.node, one.key) for one in self.listed}


def place_of(node: str, key: Key) -> Place:
    return Place(node, key.spool_id, key.lane)


def check(listed: tuple[Listed, ...], most: int) -> None:
    """Whether a Hello can be believed at all."""
    if len(listed) > most:
        raise ProtocolError(f"{len(listed)} sessions listed, {most} at most")
    if len({one.key for one in listed}) < len(listed) or len({one.sid for one in listed}) < len(listed):
        raise ProtocolError("a session listed twice")
    for one in listed:
        key = one.key
        if key.lane not in LANES or len(key.spool_id) != ID_BYTES or len(one.sid) != ID_BYTES:
            raise ProtocolError("a session without a lane or an id")
        if not 0 < key.number <= NUMBER_MAX or min(one.base, one.last) < 0 or one.base + one.last > NUMBER_MAX:
            raise ProtocolError("a session's number out of range")
