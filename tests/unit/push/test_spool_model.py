"""A Spool against a list of what was appended, through any sequence of uses."""

from __future__ import annotations

import errno
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.push.held import LANES, Key, Lane
from agent.push.spool import Limits, Spool
from tests.unit.push.spooling import FaultyDisk, live, of, readable

LIMITS = Limits(max_bytes=4000, file_bytes=400, sessions=3)
lanes = st.sampled_from(LANES)


class SpoolMachine(RuleBasedStateMachine):
    """``appended`` is every record whose append returned; ``numbers`` how many were given out in each session."""

    def __init__(self) -> None:
        super().__init__()
        self.root = tempfile.mkdtemp(prefix="headroom-")
        self.disk = FaultyDisk()
        self.spool = Spool(self.root, LIMITS, self.disk)
        self.appended: dict[tuple[Key, int], bytes] = {}
        self.declared: set[tuple[Key, int]] = set()
        self.acked: dict[Key, int] = {}
        self.opened: set[Key] = {one.key for one in self.spool.held()}

    def teardown(self) -> None:
        self.spool.close()
        shutil.rmtree(self.root)

    @rule(lane=lanes, payload=st.binary(max_size=300), age=st.sampled_from((0, 1, 1000)))
    def append(self, lane: Lane, payload: bytes, age: int) -> None:
        self.disk.now_s += age
        before = live(self.spool, lane)
        place = self.spool.append(lane, of(payload))
        if place:
            assert place == (before.key, before.last + 1), "the next number"
            self.appended[place] = payload
        assert live(self.spool, lane).last == before.last + 1, "spent, even where the disk failed"

    @rule(what=st.sampled_from(("write", "create", "sync", "truncate")), times=st.integers(1, 3))
    def a_fault_is_near(self, what: str, times: int) -> None:
        self.disk.refuse(what, errno.EIO, times)

    @rule(room=st.none() | st.integers(0, 600))
    def the_disk_has_room(self, room: int | None) -> None:
        self.disk.room = room

    @rule(data=st.data())
    def ack(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.spool.held()))
        seq = data.draw(st.integers(0, one.last))
        self.spool.acked(one.key, seq)
        self.acked[one.key] = max(seq, self.acked.get(one.key, 0))

    @precondition(lambda self: self.disk.room is None)
    @rule(margin=st.sampled_from((0.0, 1.1, 1.3, 2.0)))
    def the_node_is_short_of_disk(self, margin: float) -> None:
        self.spool.yield_disk(margin)

    def _calm(self) -> None:
        self.disk.room = None
        for what in ("write", "create", "sync", "truncate"):
            self.disk.refuse(what, errno.EIO, 0)

    @rule(lane=lanes)
    def another_session(self, lane: Lane) -> None:
        self._calm()
        self.spool.open_session(lane)
        assert live(self.spool, lane).key not in self.opened, "a number is never given out again"
        self.opened.add(live(self.spool, lane).key)

    @rule()
    def restart(self) -> None:
        """As after a kill: nothing is closed in order, and acks are forgotten."""
        self._calm()
        self._declare()
        lasts = {one.key: one for one in self.spool.held()}
        self.disk.die()  # its descriptors, and with one of them the lock, go with the process
        self.spool = Spool(self.root, LIMITS, self.disk)
        for one in self.spool.held():
            if one.sealed:
                assert one.base == lasts[one.key].base
                assert one.last <= lasts[one.key].last + 1, "a torn tail counts as one"
            else:
                assert one.key not in self.opened
                self.opened.add(one.key)
        listed = {one.key for one in self.spool.held()}
        for key, seq in self.appended:
            if key not in listed:
                self.declared.add((key, seq))  # the aggregator finds it: VANISHED
        self._declare()

    def _declare(self) -> None:
        for one in self.spool.changes() or ():
            self.declared |= {(one.key, seq) for seq in range(one.first, one.last + 1)}

    @invariant()
    def what_is_read_was_written(self) -> None:
        self._declare()
        found = readable(self.spool)
        for place, payload in found.items():
            assert self.appended.get(place, payload) == payload
        gone = {place for place in self.appended if place not in found}
        acked = {place for place in gone if place[1] <= self.acked.get(place[0], 0)}
        assert gone - acked <= self.declared, "nothing is lost silently"

    @invariant()
    def the_bounds_hold(self) -> None:
        for lane in LANES:
            assert sum(one.key.lane == lane for one in self.spool.held()) <= LIMITS.sessions
        files = [file.stat().st_size for file in Path(self.root).rglob("*-*")]
        assert self.spool.size_bytes <= sum(files)
        assert self.spool.size_bytes <= LIMITS.max_bytes + 2 * (LIMITS.file_bytes + 400)


TestSpoolModel = SpoolMachine.TestCase
TestSpoolModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
