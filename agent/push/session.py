"""The agent's end of the stream: what to do next, from what the spool holds and what the aggregator says. Pure.

Inputs change the state; the shell then takes commands from ``next_command`` one by one, and does each before it asks
for the next. Record bytes are never here: the shell reads them from the spool, and says ``unreadable`` when it cannot.
Threads: one at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum
from itertools import islice
from typing import NamedTuple

from agent.push.commands import (
    Command,
    Connect,
    Delete,
    Disconnect,
    OpenSession,
    Reason,
    Renew,
    Rotate,
    SendHello,
    State,
    Welcome,
)
from agent.push.cursor import Cursor
from agent.push.held import LANES, Held, Key, Lane


class Limits(NamedTuple):
    """``seal_records``: so much of a backlog is sealed at the next connect, so that what is live goes ahead of it."""

    seal_records: int = 60
    max_window: int = 1024  # whatever the aggregator offers
    backoff_s: float = 1.0
    backoff_max_s: float = 60.0
    answer_s: float = 30.0  # from Hello to Welcome
    stall_s: float = 60.0  # from a record to any ack


class _Phase(Enum):
    WAITING = "no stream"
    OPENING = "a stream, and lanes whose live session is to be sealed first"
    GREETING = "Hello is sent"
    STREAMING = "Welcome has come"
    CLOSING = "the stream is to be closed"


class Session:
    """``random`` is uniform in [0, 1)."""

    def __init__(
        self, now_s: float, held: Iterable[Held], random: Callable[[], float], limits: Limits = Limits()
    ) -> None:
        self._random = random
        self._limits = limits
        self._phase = _Phase.WAITING
        self._since_s = now_s  # of the phase, then of the last sign that the aggregator goes on
        self._attempts = 0
        self._acked_s = now_s  # or begun
        self._welcomed = True  # whether the last stream was
        self._live_window = self._backfill_window = 0
        self._todo: deque[Command] = deque([Connect(now_s)])
        self._opening: set[Lane] = set()
        self._stuck: set[Lane] = set()  # no new session could be opened for this stream
        self._foreign: set[Lane] = set()  # more is committed of the live session than was ever in it
        self._rotated: set[tuple[Key, int]] = set()
        self._cursors: dict[Key, Cursor] = {}
        self._named: frozenset[Key] = frozenset()
        self.holds(held)

    # What the spool says.

    def holds(self, held: Iterable[Held]) -> None:
        """All that it holds, after any change but an append."""
        live = {one.held.key for one in self._cursors.values() if one.live}
        old, self._cursors = self._cursors, {}
        for one in sorted(held, key=_order):
            self._cursors[one.key] = cursor = old.get(one.key) or Cursor(one)
            cursor.held = one
        for cursor in self._live():
            if cursor.held.key not in live:
                self._opening.discard(cursor.held.key.lane)
                self._foreign.discard(cursor.held.key.lane)
        self._rotate_bad()
        if self._phase is _Phase.STREAMING and (any(not one.listed for one in self._live()) or self._unnamed()):
            self._hang_up("a session that the Hello did not name")

    def appended(self, key: Key, seq: int) -> None:
        """It may be sent: an event is synced by now."""
        if cursor := self._cursors.get(key):
            cursor.appended(seq)
            if self._phase is _Phase.STREAMING and self._lags(cursor):
                self._hang_up("the live session lags")

    def dropped(self, key: Key, reason: Reason) -> None:
        """Why records of it are gone; ``holds`` says which."""
        if cursor := self._cursors.get(key):
            cursor.reason = reason

    def unreadable(self, key: Key, seq: int, reason: Reason = "CORRUPT") -> None:
        """The last command cannot be done; neither can what follows in that file."""
        if cursor := self._cursors.get(key):
            cursor.unreadable(seq, reason)
            self._rotate_bad()

    def could_not_open(self, lane: Lane) -> None:
        self._opening.discard(lane)
        self._stuck.add(lane)

    # What the connection says.

    def connected(self, now_s: float) -> None:
        self._enter(_Phase.OPENING, now_s)
        self._opening = {one.held.key.lane for one in self._live() if self._to_seal(one)}
        self._todo.extend(OpenSession(lane) for lane in LANES if lane in self._opening)
        self._welcomed = False

    def disconnected(self, now_s: float) -> None:
        """Also when a connect failed."""
        self._enter(_Phase.WAITING, now_s)
        self._stuck.clear()
        self._todo = deque(one for one in self._todo if isinstance(one, (Delete, Rotate, Renew)))
        for cursor in self._cursors.values():
            cursor.leave()
        longest_s = min(self._limits.backoff_max_s, self._limits.backoff_s * 2.0**self._attempts)
        longest_s = min(longest_s, max(self._limits.backoff_s, now_s - self._acked_s))  # an outage is not doubled by it
        self._attempts = min(self._attempts + 1, 32)
        self._todo.append(Connect(now_s + self._random() * longest_s))

    def welcome(self, now_s: float, welcome: Welcome) -> None:
        if self._phase is _Phase.CLOSING:
            return
        if self._phase is not _Phase.GREETING:
            self._hang_up("a Welcome out of turn")
            return
        self._enter(_Phase.STREAMING, now_s)
        self._welcomed = True
        self._live_window = max(1, min(welcome.live_window, self._limits.max_window))
        self._backfill_window = max(0, min(welcome.backfill_window, self._limits.max_window))
        for state in welcome.states:
            cursor = self._cursors.get(state.key)
            if cursor and state.closed:
                self._close(cursor)
            elif cursor:
                self._begin(cursor, state.committed)
        if self._foreign:
            self._hang_up("more is committed of the live session than is in it")
        elif self._unnamed():
            self._hang_up("a session that the Hello did not name")

    def ack(self, now_s: float, states: Iterable[State]) -> None:
        if self._phase is not _Phase.STREAMING:
            return
        for state in states:
            cursor = self._cursors.get(state.key)
            if cursor and cursor.listed and cursor.ack(state.committed):
                self._attempts = 0
                self._since_s = self._acked_s = now_s

    def tick(self, now_s: float) -> None:
        """Every second or so."""
        if self._phase is _Phase.GREETING and now_s - self._since_s > self._limits.answer_s:
            self._hang_up("no Welcome")
        elif self._phase is _Phase.STREAMING:
            if all(one.in_flight <= 0 for one in self._cursors.values() if one.listed):
                self._since_s = now_s
            if now_s - self._since_s > self._limits.stall_s:
                self._hang_up("no acknowledgement")

    def stop(self) -> None:
        """This process ends."""
        self._hang_up("stopping", goodbye=True)

    # What to do.

    def next_command(self, writable: bool = True) -> Command | None:
        """``writable``: the transport takes another message. None: nothing to do until something happens."""
        if self._todo:
            return self._todo.popleft()
        if self._phase is _Phase.OPENING and not self._opening:
            self._phase = _Phase.GREETING
            return self._hello()
        if self._phase is _Phase.STREAMING and writable:
            return self._send()
        return None

    @property
    def streaming(self) -> bool:
        return self._phase is _Phase.STREAMING

    def acked(self, key: Key) -> int:
        """The last record of it that the aggregator has; 0 is none, and may be after more."""
        cursor = self._cursors.get(key)
        return cursor.acked if cursor else 0

    def _hello(self) -> Command:
        self._named = frozenset(self._cursors)
        return SendHello(tuple(one.held for one in self._cursors.values()))

    def _unnamed(self) -> bool:
        """Whether the spool has come to hold more sessions than the Hello named: they could not be sent."""
        return not self._named.issuperset(self._cursors)

    def _send(self) -> Command | None:
        for cursor, window in self._turns():
            if cursor.in_flight < window and (command := cursor.step()):
                return command
        return None

    def _turns(self) -> Iterable[tuple[Cursor, int]]:
        """Live events, live samples, then the first sealed session that is not all there."""
        cursors = self._cursors.values()
        yield from ((one, self._live_window) for one in cursors if one.live and one.listed)
        sealed = (one for one in cursors if not one.live and one.listed and one.unacked > 0)
        yield from ((one, self._backfill_window) for one in islice(sealed, 1))

    def _live(self) -> list[Cursor]:
        return [one for one in self._cursors.values() if one.live]

    def _enter(self, phase: _Phase, now_s: float) -> None:
        self._phase = phase
        self._since_s = now_s

    def _hang_up(self, why: str, goodbye: bool = False) -> None:
        if self._phase not in (_Phase.WAITING, _Phase.CLOSING):
            goodbye = goodbye and self._phase is _Phase.STREAMING
            self._phase = _Phase.CLOSING
            self._todo.append(Disconnect(why, goodbye))

    def _to_seal(self, cursor: Cursor) -> bool:
        """Not after a stream without a Welcome: each of such would seal a session, until there are so many that one
        must go. When there is a Welcome at last, the live session lags, and the next stream seals it."""
        return (self._welcomed and cursor.unacked >= self._limits.seal_records) or cursor.held.key.lane in self._foreign

    def _lags(self, cursor: Cursor) -> bool:
        """So far behind that a new stream, with a new live session, is the shorter way for what is live."""
        most = self._live_window + 2 * self._limits.seal_records
        return cursor.live and cursor.unacked > most and cursor.held.key.lane not in self._stuck

    def _begin(self, cursor: Cursor, committed: int) -> None:
        if cursor.live and committed > cursor.held.last:
            self._foreign.add(cursor.held.key.lane)  # its numbers were given out twice: this machine was set back
        cursor.enter(committed)

    def _close(self, cursor: Cursor) -> None:
        cursor.leave()
        self._todo.append(Renew(cursor.held.key) if cursor.live else Delete(cursor.held.key))

    def _rotate_bad(self) -> None:
        """Nothing that is appended behind a damaged record could be read: once for each file."""
        bad = {(one.held.key, one.bad) for one in self._live() if one.bad}
        self._todo.extend(Rotate(key) for key, _ in sorted(bad - self._rotated))
        self._rotated = bad


def _order(held: Held) -> tuple[int, int, bytes]:
    """Events first, then the lowest number."""
    return LANES.index(held.key.lane), held.key.number, held.key.spool_id
