"""What the session asks its shell to do, and the aggregator's answers as it takes them."""

from __future__ import annotations

from typing import Literal, NamedTuple

from agent.push.held import Held, Key, Lane

Reason = Literal["SPOOL_FULL", "CORRUPT", "DISK", "DISK_PRESSURE", "REJECTED"]


class Connect(NamedTuple):
    """Not before this time of the session's clock."""

    not_before_s: float


class Disconnect(NamedTuple):
    """Closes the stream, after a Goodbye where that is due; ``disconnected`` is the answer."""

    why: str
    goodbye: bool = False


class OpenSession(NamedTuple):
    """Seals the lane's live session and opens a new one; ``holds`` or ``could_not_open`` is the answer."""

    lane: Lane


class SendHello(NamedTuple):
    """With everything that the spool holds."""

    sessions: tuple[Held, ...]


class SendHeader(NamedTuple):
    """Of the file that begins with ``first``."""

    key: Key
    first: int


class SendRecord(NamedTuple):
    key: Key
    seq: int


class SendLost(NamedTuple):
    """Both ends are inclusive."""

    key: Key
    first: int
    last: int
    reason: Reason


class Delete(NamedTuple):
    """This session is over: its files go."""

    key: Key


class Rotate(NamedTuple):
    """The live session's current file cannot be read to its end: what is appended next begins another."""

    key: Key


class Renew(NamedTuple):
    """The spool is a copy, and this live session's number is another's: its records go to a new spool."""

    key: Key


Command = Connect | Disconnect | OpenSession | SendHello | SendHeader | SendRecord | SendLost | Delete | Rotate | Renew


class State(NamedTuple):
    """What the aggregator says of one session. Nothing of it is trusted."""

    key: Key
    committed: int
    closed: bool = False


class Welcome(NamedTuple):
    """Windows are in records."""

    states: tuple[State, ...]
    live_window: int
    backfill_window: int
