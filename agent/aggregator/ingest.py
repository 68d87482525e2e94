"""The aggregator's end of the stream: what is taken, what is lost, and when it is acknowledged. Pure.

The shell decodes, writes and sends. It hands in what each stream brings, and takes one ``Commit`` at a time; when that
is durable, ``committed`` gives the answers. So nothing is acknowledged that is not durable, and a Hello is answered
from the transaction that has it and all that came before it. Threads: one at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from agent.aggregator.commit import Ack, Commit, State, Stored, Welcome
from agent.aggregator.lanes import Gap, Key, Lane, Listed, Place, Reason, ended, listing
from agent.aggregator.stream import NUMBER_MAX, OpenSession, Stream, check, place_of
from agent.errors import ProtocolError


class Limits(NamedTuple):
    """``window``: records of one session that may wait for a commit; at least the windows of the Welcome."""

    window: int = 1024
    sessions: int = 64  # in a Hello
    spools: int = 64  # of a node


SEEN_IN_RETENTION: Final = 8  # how often it is written down that a spool is still spoken of


class Ingest:
    """``durable`` is what the store holds. Errors are ``ProtocolError``: the shell closes that stream."""

    def __init__(self, durable: Mapping[Place, Lane], limits: Limits = Limits()) -> None:
        self._limits = limits
        self._durable = dict(durable)
        self._lanes = dict(durable)  # as they will be; but for `committed`, which `_sessions` know
        self._sessions = {
            (place, one.number): OpenSession(place, one) for place in durable for one in durable[place].open
        }
        self._streams: dict[int, Stream] = {}
        self._records: list[Stored] = []
        self._gaps: list[Gap] = []
        self._changed: set[Place] = set()
        self._greeted: list[int] = []
        self._writing: Commit | None = None

    # What streams bring.

    def hello(self, stream: int, node: str, sessions: Iterable[Listed], now_unix_s: int) -> None:
        listed = tuple(sessions)
        if stream in self._streams:
            raise ProtocolError("a second Hello on one stream")
        self._greet(node, listed)
        self._streams[stream] = one = Stream(node, listed)
        places: dict[Place, list[Listed]] = {}
        for session in listed:
            places.setdefault(place_of(node, session.key), []).append(session)
        for place, there in places.items():
            lane, gaps = listing(place, self._planned(place), there, now_unix_s)
            self._apply(place, lane, gaps)
        for session in listed:
            found = self._sessions.get((place_of(node, session.key), session.key.number))
            if found and found.sid == session.sid:
                one.sessions[session.sid] = found
        self._greeted.append(stream)

    def header(self, stream: int, key: Key, sid: bytes, first: int) -> None:
        """A file begins: only here is a decoder set up."""
        session = self._session(stream, sid)
        if session.key != key or not 0 < first <= NUMBER_MAX:
            raise ProtocolError("a header that is not its session's")
        self._streams[stream].entered[sid] = first

    def record(self, stream: int, sid: bytes, seq: int, payload: object, refused: bool = False) -> bool:
        """Whether it is new. ``refused``: it will never be taken, so it is lost in its place."""
        session = self._session(stream, sid)
        entered = self._streams[stream].entered
        if entered.get(sid) != seq:
            raise ProtocolError(f"record {seq} without those before it in its file")
        self._check_turn(session, seq)
        entered[sid] = seq + 1
        if self._known(session, seq):
            return False
        if refused:
            self._lose(session, seq, seq, "REJECTED")
        else:
            self._records.append(Stored(session.place, session.key.number, sid, seq, payload))
        session.expected = seq + 1
        self._changed.add(session.place)
        return not refused

    def lost(self, stream: int, key: Key, first: int, last: int, reason: Reason) -> None:
        node = self._welcomed(stream).node
        known = self._sessions.get((place_of(node, key), key.number))
        session = self._session(stream, known.sid if known else b"")
        if not 0 < first <= last <= NUMBER_MAX or first > session.expected:
            raise ProtocolError(f"lost {first} to {last}, but {session.expected} is next")
        self._streams[stream].entered.pop(session.sid, None)
        first = self._trimmed(session, first)
        if first <= last:
            self._lose(session, first, last, reason)
            session.expected = last + 1
            self._changed.add(session.place)

    def ended(self, stream: int, now_unix_s: int) -> None:
        """What it brought stays; what it waits for is not sent."""
        gone = self._streams.pop(stream, None)
        for place in gone.places() if gone else ():
            self._see(place, now_unix_s)

    def expire(self, retention_s: int, now_unix_s: int) -> None:
        """Forgets spools that nobody spoke of for so long. One that a stream speaks of is seen, durably now and then:
        however long that stream is, and whatever ends it, the time counts from there."""
        spoken = {place for one in self._streams.values() for place in one.places()}
        for place, lane in list(self._lanes.items()):
            unseen_s = now_unix_s - lane.seen_unix_s
            if place in spoken and unseen_s > retention_s / SEEN_IN_RETENTION:
                self._see(place, now_unix_s)
            elif place not in spoken and unseen_s > retention_s:
                self._gaps.extend(ended(place, self._planned(place)))
                self._apply(place, Lane(), ())
                del self._lanes[place]

    def _see(self, place: Place, now_unix_s: int) -> None:
        if lane := self._lanes.get(place):
            self._lanes[place] = lane._replace(seen_unix_s=now_unix_s)
            self._changed.add(place)

    # What becomes durable.

    def commit(self) -> Commit | None:
        """The next transaction; the same one again until it is ``committed``. None: nothing waits."""
        if self._writing is None and (self._changed or self._greeted):
            lanes = {place: self._planned(place) if place in self._lanes else None for place in self._changed}
            self._lanes.update((place, lane) for place, lane in lanes.items() if lane)
            self._writing = Commit(tuple(self._records), tuple(self._gaps), lanes, tuple(self._greeted))
            self._records, self._gaps, self._changed, self._greeted = [], [], set(), []
        return self._writing

    def committed(self) -> list[Welcome | Ack]:
        """The answers, once the last ``commit`` is durable."""
        done, self._writing = self._writing, None
        if done is None:
            return []
        moved = [found for place, lane in done.lanes.items() for found in self._moved(place, lane)]
        welcomes = [self._welcome(number) for number in done.greeted if number in self._streams]
        return [*welcomes, *self._acks(set(moved), set(done.greeted))]

    def _moved(self, place: Place, lane: Lane | None) -> Iterable[OpenSession]:
        """The sessions of which more is durable now."""
        if lane is None:
            self._durable.pop(place, None)
            return
        self._durable[place] = lane
        for one in lane.open:
            found = self._sessions.get((place, one.number))
            if found and one.committed > found.committed:
                found.committed = one.committed
                yield found

    def _welcome(self, number: int) -> Welcome:
        stream = self._streams[number]
        stream.welcomed = True
        return Welcome(number, tuple(self._state(stream.node, one) for one in stream.listed))

    def _state(self, node: str, listed: Listed) -> State:
        """A session that is not open is over, or its number is another's: the spool is a copy."""
        lane = self._durable.get(place_of(node, listed.key), Lane())
        for one in lane.open:
            if (one.number, one.sid) == (listed.key.number, listed.sid):
                return State(listed.key, one.committed)
        return State(listed.key, 0, closed=True)

    def _acks(self, moved: set[OpenSession], greeted: set[int]) -> Iterable[Ack]:
        for number, stream in self._streams.items():
            if stream.welcomed and number not in greeted:
                states = tuple(State(one.key, one.committed) for one in stream.sessions.values() if one in moved)
                if states:
                    yield Ack(number, states)

    def _greet(self, node: str, listed: tuple[Listed, ...]) -> None:
        spools = {place.spool_id for place in self._lanes if place.node == node}
        check(listed, self._limits.sessions)
        if len(spools | {one.key.spool_id for one in listed}) > max(self._limits.spools, len(spools)):
            raise ProtocolError(f"more than {self._limits.spools} spools of one node")

    def _apply(self, place: Place, lane: Lane, gaps: Iterable[Gap]) -> None:
        self._gaps.extend(gaps)
        numbers = {one.number for one in lane.open}
        for one in self._planned(place).open:
            if one.number not in numbers:
                self._sessions.pop((place, one.number)).over = True
        for one in lane.open:
            if (place, one.number) not in self._sessions:
                self._sessions[place, one.number] = OpenSession(place, one)
        self._lanes[place] = lane
        self._changed.add(place)

    def _planned(self, place: Place) -> Lane:
        """The lane as it is once all that waits is durable."""
        lane = self._lanes.get(place, Lane())
        at = [self._sessions[place, one.number].expected - 1 for one in lane.open]
        return lane._replace(open=tuple(one._replace(committed=c) for one, c in zip(lane.open, at, strict=True)))

    def _welcomed(self, stream: int) -> Stream:
        found = self._streams.get(stream)
        if found is None or not found.welcomed:
            raise ProtocolError("data before the Welcome")
        return found

    def _session(self, stream: int, sid: bytes) -> OpenSession:
        found = self._welcomed(stream).sessions.get(sid)
        if found is None or found.over:
            raise ProtocolError("a session that this stream did not list, or that is over")
        return found

    def _check_turn(self, session: OpenSession, seq: int) -> None:
        if seq > session.expected:
            raise ProtocolError(f"record {seq}, but {session.expected} is next")
        if seq - session.committed > self._limits.window:
            raise ProtocolError("more than the window without an acknowledgement")

    def _known(self, session: OpenSession, seq: int) -> bool:
        return seq < session.expected

    def _trimmed(self, session: OpenSession, first: int) -> int:
        return max(first, session.expected)

    def _lose(self, session: OpenSession, first: int, last: int, reason: Reason) -> None:
        number = session.key.number
        self._gaps.append(Gap(session.place, number, number, first, last, last - first + 1, reason))
