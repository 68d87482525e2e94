"""The session drives a real spool, whose disk fails now and then, against an aggregator that only counts."""

from __future__ import annotations

import errno
import random
from pathlib import Path

import pytest

from agent.push.commands import (
    Connect,
    Delete,
    Disconnect,
    OpenSession,
    Renew,
    Rotate,
    SendHeader,
    SendHello,
    SendLost,
    SendRecord,
    State,
    Welcome,
)
from agent.push.held import LANES, Key
from agent.push.session import Limits, Session
from agent.push.spool import Limits as SpoolLimits
from agent.push.spool import Spool
from tests.unit.push.spooling import FaultyDisk, of, payload_of

LIMITS = SpoolLimits(max_bytes=30_000, file_bytes=700, sessions=6)


class Aggregator:
    """What came, in order and without a hole: a record or a declared loss for every number."""

    def __init__(self) -> None:
        self.committed: dict[Key, int] = {}
        self.stored: dict[tuple[Key, int], bytes] = {}
        self.lost: set[tuple[Key, int]] = set()

    def record(self, key: Key, seq: int, payload: bytes) -> None:
        expected = self.committed[key] + 1
        assert seq <= expected, "a hole"
        if seq == expected:
            self.stored[key, seq] = payload
            self.committed[key] = seq

    def loss(self, key: Key, first: int, last: int) -> None:
        assert first <= self.committed[key] + 1, "a hole"
        self.lost |= {(key, seq) for seq in range(self.committed[key] + 1, last + 1)}
        self.committed[key] = max(last, self.committed[key])


class Agent:
    """The shell: does what the session says, with the spool."""

    def __init__(self, root: Path, disk: FaultyDisk, aggregator: Aggregator, chance: random.Random) -> None:
        self.spool = Spool(str(root), LIMITS, disk)
        self.session = Session(0.0, self.spool.held(), chance.random, Limits(seal_records=10))
        self.aggregator = aggregator
        self.now_s = 0.0

    def hear(self) -> None:
        """What changed in the spool."""
        dropped = self.spool.changes()
        if dropped is not None:
            for one in dropped:
                self.session.dropped(one.key, one.reason)
            self.session.holds(self.spool.held())

    def append(self, lane: str, payload: bytes) -> tuple[Key, int] | None:
        place = self.spool.append("events" if lane == "events" else "samples", of(payload))
        self.hear()
        if place:
            self.session.appended(*place)
        return place

    def run(self, most: int) -> None:
        for _ in range(most):
            command = self.session.next_command()
            if command is None:
                return
            self._do(command)
            self.hear()

    def _do(self, command: object) -> None:
        match command:
            case Connect(not_before_s=at_s):
                self.now_s = max(self.now_s, at_s)
                self.session.connected(self.now_s)
            case Disconnect():
                self.session.disconnected(self.now_s)
            case OpenSession(lane=lane):
                self.spool.open_session(lane)
            case SendHello(sessions=sessions):
                for one in sessions:
                    self.aggregator.committed.setdefault(one.key, 0)
                states = tuple(State(one.key, self.aggregator.committed[one.key]) for one in sessions)
                self.session.welcome(self.now_s, Welcome(states, 8, 8))
            case SendHeader(key=key, first=first):
                if self.spool.header(key, first) is None:
                    self.session.unreadable(key, first)
            case SendRecord(key=key, seq=seq):
                data = self.spool.record(key, seq)
                if data is None:
                    self.session.unreadable(key, seq)
                else:
                    self.aggregator.record(key, seq, payload_of(data))
                    self._ack(key)
            case SendLost(key=key, first=first, last=last):
                self.aggregator.loss(key, first, last)
                self._ack(key)
            case Delete(key=key):
                self.spool.delete(key)
            case Rotate(key=key):
                self.spool.rotate(key)
            case Renew(key=key):
                self.spool.renew(key)

    def _ack(self, key: Key) -> None:
        self.session.ack(self.now_s, (State(key, self.aggregator.committed[key]),))
        self.spool.acked(key, self.session.acked(key))


def harm(root: Path, chance: random.Random) -> None:
    """A bit of some file."""
    path = chance.choice(sorted(root.rglob("*-*")))
    data = bytearray(path.read_bytes())
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)


@pytest.mark.parametrize("seed", range(40))
def test_every_record_arrives_or_is_declared(tmp_path: Path, seed: int) -> None:
    """Through faults, bit rot, reconnects and restarts: nothing is lost silently, nothing comes twice or changed."""
    chance, disk, aggregator = random.Random(seed), FaultyDisk(), Aggregator()
    agent = Agent(tmp_path, disk, aggregator, chance)
    written: dict[tuple[Key, int], bytes] = {}
    for number in range(400):
        place = agent.append(chance.choice(LANES), b"%d-" % number * chance.randrange(1, 40))
        if place:
            written[place] = b"%d-" % number
        for what, odds in (("write", 0.02), ("sync", 0.02), ("truncate", 0.01), ("create", 0.02)):
            disk.refuse(what, errno.EIO, chance.random() < odds)
        agent.run(chance.choice((0, 0, 1, 5, 20)))
        happens = chance.random()
        if happens < 0.01:
            harm(tmp_path, chance)
        elif happens < 0.03:
            agent.session.disconnected(agent.now_s)
        elif happens < 0.05:
            agent.spool.close()
            for what in ("write", "sync", "truncate", "create"):
                disk.refuse(what, errno.EIO, 0)
            agent = Agent(tmp_path, disk, aggregator, chance)
    agent.run(100_000)
    lasts = {one.key: one.last for one in agent.spool.held()}
    for key, last in lasts.items():
        assert aggregator.committed[key] >= last, "all of it is settled"
    for key, seq in written:  # what a torn tail had beyond one record, and what a vanished session had, is not known
        assert (key, seq) in aggregator.stored or (key, seq) in aggregator.lost or seq > lasts.get(key, 0)
    for place, payload in aggregator.stored.items():
        assert place not in aggregator.lost
        assert place not in written or payload.startswith(written[place])
    assert len(aggregator.stored) > len(written) // 2
    agent.spool.close()
