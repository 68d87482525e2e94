"""What a spool holds, as the session and the spool both speak of it. Immutable; sequence numbers count from 1.

Names are those of the protocol: a session is one process's part of a lane in a spool; a file begins with a header and
is readable up to its first bad record.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Lane = Literal["samples", "events"]
LANES: tuple[Lane, ...] = ("events", "samples")  # in the order in which they are sent


class Key(NamedTuple):
    """A session's name. ``number`` rises by one with every session of the lane in this spool, and is never reused."""

    spool_id: bytes
    lane: Lane
    number: int


class File(NamedTuple):
    """``first`` is where its header says that it begins; ``readable`` the last record up to which it can be read,
    ``first - 1`` when there is none. ``damaged`` is whether something follows that cannot."""

    first: int
    readable: int
    size_bytes: int
    damaged: bool = False


class Held(NamedTuple):
    """One session. ``base`` is how many records were numbered in the lane before it; ``last`` the highest number that
    was given out and is on disk, a torn tail counted as one; ``files`` are in the order of their first records."""

    key: Key
    sid: bytes
    base: int
    last: int
    sealed: bool
    files: tuple[File, ...]

    @property
    def first(self) -> int:
        """The lowest number still held; ``last + 1`` when none is."""
        return self.files[0].first if self.files else self.last + 1
