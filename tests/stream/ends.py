"""Both shells, as small as they can be: a node with its agent processes, and the aggregator with its store."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Any, NamedTuple

from agent.aggregator.commit import Ack as AckOut
from agent.aggregator.commit import Commit
from agent.aggregator.commit import Welcome as WelcomeOut
from agent.aggregator.ingest import Ingest
from agent.aggregator.lanes import Gap, Lane, Listed, Place
from agent.aggregator.lanes import Key as NamedKey
from agent.errors import ProtocolError
from agent.push import commands
from agent.push.session import Limits, Session
from tests.stream.disk import Content, Disk
from tests.stream.spool import Bounds, Spool

Where = tuple[Place, int, int]  # place, session, sequence


class Violation(AssertionError):
    """A property that does not hold."""


class Settings(NamedTuple):
    """What one schedule runs with."""

    seal_records: int
    live_window: int
    backfill_window: int
    bounds: Bounds


class Record(NamedTuple):
    sid: bytes
    seq: int
    content: Content


class Wire:
    """One connection: two queues in order. An end that is closed sends no more, but what it sent may still arrive."""

    def __init__(self) -> None:
        self.up: deque[Any] = deque()
        self.down: deque[Any] = deque()
        self.agent_open = self.aggregator_open = True


class Mistakes:
    """The parts of which a planted mistake replaces one."""

    spool: type[Spool] = Spool
    session: type[Session] = Session
    ingest: type[Ingest] = Ingest
    ack_first = False  # before the commit
    delete_when_sent = False
    append_to_old = False


class Truth:
    """What really happened, which neither end knows."""

    def __init__(self) -> None:
        self.where: dict[Content, Where] = {}
        self.samples: set[Content] = set()
        self.gone: set[Content] = set()  # deleted or damaged at some time: no lie to call it lost
        self.excused: set[Content] = set()  # samples that were not synced, and wiped spools
        self.refused: set[Content] = set()

    def covered(self, gap: Gap) -> list[Content]:
        return [content for content, where in self.where.items() if covers(gap, where)]


def covers(gap: Gap, where: Where) -> bool:
    place, number, seq = where
    after = (number, seq) >= (gap.first_number, gap.first)
    return place == gap.place and after and (number, seq) <= (gap.last_number, gap.last or 2**64)


class Agent:
    """A node's disk and, while ``session`` is there, a process on it."""

    def __init__(self, node: str, rng: Random, truth: Truth, settings: Settings, parts: Mistakes) -> None:
        self.node, self.rng, self.truth, self.settings, self.parts = node, rng, truth, settings, parts
        self.disk = Disk(rng)
        self.spool: Spool | None = None
        self.session: Session | None = None
        self.wire: Wire | None = None
        self.connect_at: float | None = None
        self.new_wires: list[Wire] = []

    def start(self, now_s: float) -> None:
        self.spool = self.parts.spool(self.disk, self.rng, self.settings.bounds, self.truth.gone.add)
        limits = Limits(seal_records=self.settings.seal_records)
        self.session = self.parts.session(now_s, self.spool.held(), self.rng.random, limits)
        self.pump(now_s)

    def kill(self) -> None:
        if self.wire:
            self.wire.agent_open = False
        self.spool = self.session = self.wire = self.connect_at = None

    def power_cut(self) -> None:
        self.kill()
        lost = set(self.disk.power_cut())
        self.truth.excused |= lost & self.truth.samples
        self.truth.gone |= lost

    def append(self, content: Content, lane: Any) -> None:
        assert self.spool
        assert self.session
        if lane == "samples":
            self.truth.samples.add(content)
        key, seq, begun = self.spool.append(lane, content)
        self.truth.where[content] = (Place(self.node, key.spool_id, key.lane), key.number, seq)
        if self.spool.file_at(key, seq).rotten:
            self.truth.gone.add(content)
        if begun:
            self.session.holds(self.spool.held())
        self.session.appended(key, seq)
        self.trim()

    def trim(self) -> None:
        assert self.spool
        assert self.session
        self.spool.acked = {key: self.session.acked(key) for key, _ in self.spool.sessions()}
        if self.spool.trim():
            for key in self.spool.dropped:
                self.session.dropped(key, "SPOOL_FULL")
            self.spool.dropped.clear()
            self.session.holds(self.spool.held())

    def connect(self, now_s: float, possible: bool) -> None:
        """When it is time to."""
        if self.session is None or self.connect_at is None or now_s < self.connect_at:
            return
        self.connect_at = None
        if possible:
            self.wire = Wire()
            self.new_wires.append(self.wire)
            self.session.connected(now_s)
        else:
            self.session.disconnected(now_s)

    def hear(self, now_s: float, most: int) -> None:
        """What has come from the aggregator."""
        while most and self.session and self.wire and self.wire.down:
            most -= 1
            message = self.wire.down.popleft()
            if isinstance(message, commands.Welcome):
                self.session.welcome(now_s, message)
            else:
                self.session.ack(now_s, message)
            self.pump(now_s)
        if self.wire and not self.wire.aggregator_open and not self.wire.down:
            self.hang_up(now_s)

    def hang_up(self, now_s: float) -> None:
        assert self.session
        assert self.wire
        self.wire.agent_open = False
        self.wire = None
        self.session.disconnected(now_s)

    def pump(self, now_s: float) -> None:
        while self.session and (command := self.session.next_command()):
            self.do(command, now_s)

    def do(self, command: commands.Command, now_s: float) -> None:
        assert self.session
        assert self.spool
        match command:
            case commands.Connect(at):
                self.connect_at = at
            case commands.Disconnect():
                self.hang_up(now_s)
            case commands.OpenSession(lane):
                self.spool.acked = {key: self.session.acked(key) for key, _ in self.spool.sessions()}
                self.spool.open(lane)
                self.session.holds(self.spool.held())
            case commands.Rotate(key):
                self.spool.rotate(key.lane)
                self.session.holds(self.spool.held())
            case commands.Delete(key):
                self.spool.delete(key)
                self.session.holds(self.spool.held())
            case commands.Renew(key):
                self.renew(key)
            case commands.SendRecord(key, seq):
                self.send_record(key, seq)
            case _:
                assert self.wire
                self.wire.up.append(command)

    def send_record(self, key: Any, seq: int) -> None:
        assert self.session
        assert self.spool
        assert self.wire
        content = self.spool.read(key, seq)
        if content is None:
            self.session.unreadable(key, seq)
            return
        self.wire.up.append(Record(self.spool.file_at(key, seq).sid, seq, content))
        if self.parts.delete_when_sent:
            self.spool.file_at(key, seq).rotten.add(seq)

    def renew(self, key: Any) -> None:
        assert self.session
        assert self.spool
        self.spool.renew(key)
        for held, files in self.spool.sessions():
            for file in files:
                for seq, content in enumerate(file.records, file.first):
                    self.truth.where[content] = (Place(self.node, held.spool_id, held.lane), held.number, seq)
        self.session.holds(self.spool.held())


class Store:
    """What is durable at the aggregator."""

    def __init__(self) -> None:
        self.lanes: dict[Place, Lane] = {}
        self.records: list[tuple[Where, Content]] = []
        self.gaps: list[Gap] = []

    def copy(self) -> Store:
        other = Store()
        other.lanes, other.records, other.gaps = dict(self.lanes), list(self.records), list(self.gaps)
        return other

    def write(self, commit: Commit) -> None:
        for place, lane in commit.lanes.items():
            if lane is None:
                self.lanes.pop(place, None)
            else:
                self.lanes[place] = lane
        self.records += [((one.place, one.number, one.seq), one.payload) for one in commit.records]  # type: ignore[misc]
        self.gaps += commit.gaps


class Aggregator:
    def __init__(self, settings: Settings, parts: Mistakes, truth: Truth) -> None:
        self.settings, self.parts, self.truth = settings, parts, truth
        self.store = Store()
        self.wires: dict[int, tuple[Wire, str]] = {}
        self.errors: list[str] = []
        self._numbers = 0
        self._commit: Commit | None = None
        self.ingest = parts.ingest({})

    def restart(self, store: Store) -> None:
        """With what is durable; every stream is cut."""
        for wire, _ in self.wires.values():
            wire.aggregator_open = False
            wire.up.clear()
        self.wires.clear()
        self.store, self._commit = store, None
        self.ingest = self.parts.ingest(store.lanes)

    def accept(self, wire: Wire, node: str) -> None:
        self._numbers += 1
        self.wires[self._numbers] = (wire, node)

    def hear(self, number: int, most: int, now_s: float) -> None:
        wire, node = self.wires[number]
        try:
            while most and wire.up:
                most -= 1
                self.take(number, node, wire.up.popleft(), now_s)
            if not wire.up and not wire.agent_open:
                self.close(number, now_s)
        except ProtocolError as error:
            self.errors.append(str(error))
            self.close(number, now_s)

    def take(self, number: int, node: str, message: Any, now_s: float) -> None:
        match message:
            case commands.SendHello(sessions):
                listed = [Listed(NamedKey(*one.key), one.sid, one.base, one.last, one.sealed) for one in sessions]
                self.ingest.hello(number, node, listed, int(now_s))
            case commands.SendHeader(key, first):
                sid = next(one.sid for one in self.ingest._streams[number].listed if one.key == key)
                self.ingest.header(number, NamedKey(*key), sid, first)
            case Record(sid, seq, content):
                self.ingest.record(number, sid, seq, content, content in self.truth.refused)
            case commands.SendLost(key, first, last, reason):
                self.ingest.lost(number, NamedKey(*key), first, last, reason)

    def close(self, number: int, now_s: float) -> None:
        wire, _ = self.wires.pop(number)
        wire.aggregator_open = False
        self.ingest.ended(number, int(now_s))

    def begin(self) -> None:
        if self._commit is None:
            self._commit = self.ingest.commit()
            if self._commit and self.parts.ack_first:
                self.answer()

    def finish(self) -> None:
        if self._commit is not None:
            self.store.write(self._commit)
            self._commit = None
            if not self.parts.ack_first:
                self.answer()

    def answer(self) -> None:
        for answer in self.ingest.committed():
            self.check_durable(answer)
            if answer.stream in self.wires:
                self.wires[answer.stream][0].down.append(self.message(answer))

    def check_durable(self, answer: WelcomeOut | AckOut) -> None:
        """Nobody is told what could still be lost."""
        durable = {(*place, one.number): one.committed for place, lane in self.store.lanes.items() for one in lane.open}
        for state in answer.states:
            if not state.closed and not any(
                name[1:] == tuple(state.key) and state.committed <= committed for name, committed in durable.items()
            ):
                raise Violation(f"{state} is told, but not durable")

    def message(self, answer: WelcomeOut | AckOut) -> Any:
        states = tuple(commands.State(one.key, one.committed, one.closed) for one in answer.states)  # type: ignore[arg-type]
        if isinstance(answer, AckOut):
            return states
        return commands.Welcome(states, self.settings.live_window, self.settings.backfill_window)
