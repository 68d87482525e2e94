"""Collectors that are slow, stuck or broken, run on real threads. Nothing waits for the clock but the deadlines."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator

import pytest

from agent.engine import FAMILIES, Engine
from agent.engine.lanes import Lanes
from agent.errors import Absent, Gone, Malformed
from agent.model import Declared, Family, Part, Writer
from tests.stream.waiting import until

VALUE = Family("node_value", "gauge", "A value.")


class Fake:
    """A collector that does what it is told."""

    part: Part = "node"
    families: Declared = (VALUE,)

    def __init__(self, name: str, act: Callable[[Writer], None]) -> None:
        self.name = name
        self.act = act
        self.calls = 0

    def collect(self, out: Writer) -> None:
        self.calls += 1
        self.act(out)


class Clock:
    """The part of Calls that the engine needs."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time_s(self) -> float:
        return self.now

    def monotonic_s(self) -> float:
        return self.now


def says(family: Family, value: float) -> Callable[[Writer], None]:
    return lambda out: out.one(family, value)


def raises(error: Exception) -> Callable[[Writer], None]:
    def act(out: Writer) -> None:
        out.one(VALUE, 1)
        raise error

    return act


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Opened at the end, so that no stuck thread outlives its test."""
    event = threading.Event()
    yield event
    event.set()


def test_what_one_raises_costs_its_own_block() -> None:
    """Errors, expected or not, leave the other collectors' blocks whole."""
    good = Fake("good", says(VALUE, 7))
    bad = [
        Fake("gone", raises(Gone("x"))),
        Fake("defect", raises(KeyError("x"))),
        Fake("bad", raises(Malformed("x", "y"))),
    ]
    outcomes = Lanes(1.0).run([*bad, good])
    assert [block.values for block in outcomes[good].blocks] == [(7,)]
    assert [(c.name, outcomes[c].error.reason, outcomes[c].blocks) for c in bad if outcomes[c].error] == [  # type: ignore[union-attr]
        ("gone", "gone", ()),
        ("defect", "defect", ()),
        ("bad", "malformed", ()),
    ]


def test_a_stuck_one_is_given_up_and_not_started_again_until_it_returns(gate: threading.Event) -> None:
    """A collector that hangs is overdue, the rest complete; it runs again only after its call has returned."""
    returned = threading.Event()

    def hang(out: Writer) -> None:
        gate.wait(30)
        returned.set()

    stuck, good, lanes = Fake("stuck", hang), Fake("good", says(VALUE, 7)), Lanes(1.0)
    for _ in range(3):
        outcomes = lanes.run([stuck, good])
        assert outcomes[stuck].error is not None
        assert outcomes[stuck].error.reason == "overdue"
        assert outcomes[good].error is None
        assert len(outcomes[good].blocks) == 1
    assert stuck.calls == 1
    assert good.calls == 3
    gate.set()
    assert returned.wait(5)
    until(lambda: lanes.run([stuck])[stuck].error is None)
    assert stuck.calls == 2


def test_several_stuck_ones_share_one_deadline(gate: threading.Event) -> None:
    """With half of the collectors stuck the others complete, and the threads do not grow from run to run."""
    lanes = Lanes(1.0)
    stuck = [Fake(f"stuck{i}", lambda out: gate.wait(30) and None) for i in range(5)]  # type: ignore[func-returns-value]
    good = [Fake(f"good{i}", says(VALUE, i)) for i in range(5)]
    mixed = [c for pair in zip(stuck, good, strict=True) for c in pair]
    outcomes = lanes.run(mixed)
    assert all(outcomes[c].error is None for c in good)
    assert all(outcomes[c].error is not None for c in stuck)
    before = threading.active_count()
    for _ in range(20):
        lanes.run(mixed)
    until(lambda: threading.active_count() <= before)


def test_without_threads_a_run_ends_all_the_same(gate: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a node out of PIDs what cannot be started is overdue, and nothing runs on behind the next one's back."""
    start = threading.Thread.start
    left = [0]

    def limited(thread: threading.Thread) -> None:
        if not left[0]:
            raise RuntimeError("can't start new thread")
        left[0] -= 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    stuck, good, lanes = Fake("stuck", lambda out: gate.wait(30) and None), Fake("good", says(VALUE, 7)), Lanes(0.3)  # type: ignore[func-returns-value]
    for threads in (0, 1, 0):
        left[0] = threads
        outcomes = lanes.run([stuck, good])
        assert [str(outcomes[c].error) for c in (stuck, good) if outcomes[c].error is None] == []
        assert "no thread" in str(outcomes[good].error)
    assert (stuck.calls, good.calls) == (1, 0)
    left[0] = 1
    assert lanes.run([stuck, good])[good].error is None
    gate.set()
    until(lambda: lanes.run([stuck])[stuck].error is None)
    assert (stuck.calls, good.calls) == (2, 1)


def test_a_partial_failure_keeps_the_rest() -> None:
    """Inside ``out.optional`` a source error costs only what is inside, and is reported."""

    def act(out: Writer) -> None:
        with out.optional:
            raise Gone("missing")
        out.one(VALUE, 3)

    collector = Fake("half", act)
    outcome = Lanes(1.0).run([collector])[collector]
    assert outcome.error is None
    assert [error.path for error in outcome.partial] == ["missing"]
    assert [block.values for block in outcome.blocks] == [(3,)]


def test_an_idle_lane_keeps_no_collector_alive() -> None:
    """Its thread waits for ever, and must not hold the files that a collector has open."""
    collector = Fake("one", says(VALUE, 1))
    alive = weakref.ref(collector)
    Lanes(10.0).run([collector])
    del collector
    until(lambda: alive() is None)


def test_snapshots_are_shared_while_young() -> None:
    """Within max_age_s nobody collects again; after it, one does."""
    collector, clock = Fake("one", says(VALUE, 1)), Clock()
    engine = Engine([collector], clock)  # type: ignore[arg-type]
    first = engine.snapshot(0.0)
    clock.now += 0.9
    assert engine.snapshot(1.0) is first
    clock.now += 0.2
    assert engine.snapshot(1.0) is not first
    assert collector.calls == 2


def test_single_flight() -> None:
    """Many who ask at once share one collection."""
    inside, release = threading.Event(), threading.Event()

    def slow(out: Writer) -> None:
        inside.set()
        release.wait(5)
        out.one(VALUE, 1)

    collector = Fake("slow", slow)
    engine = Engine([collector], Clock(), deadline_s=10.0)  # type: ignore[arg-type]
    batches: list[object] = []
    threads = [threading.Thread(target=lambda: batches.append(engine.snapshot())) for _ in range(8)]
    threads[0].start()
    assert inside.wait(5)
    for thread in threads[1:]:
        thread.start()
    release.set()
    for thread in threads:
        thread.join(5)
    assert len(batches) == 8
    assert collector.calls <= 2  # one that arrived after the first had ended may have begun a second
    assert len(set(map(id, batches))) == collector.calls


def test_chosen_collectors_never_fill_the_shared_snapshot() -> None:
    """``collect[]`` leaves what the others get as it is."""
    one, two = Fake("one", says(VALUE, 1)), Fake("two", says(Family("node_two", "gauge", "."), 2))
    engine = Engine([one, two], Clock())  # type: ignore[arg-type]
    whole = engine.snapshot()
    only = engine.collect([two])
    assert "node_value" not in {block.family.name for block in only.blocks}
    assert engine.snapshot(10.0) is whole


def test_the_second_claim_to_a_family_is_refused_and_counted() -> None:
    """A family is given once: an exposition that repeats one would be refused whole by Prometheus."""
    engine = Engine([Fake("a", says(VALUE, 1)), Fake("b", says(VALUE, 2))], Clock())  # type: ignore[arg-type]
    values = {
        (block.family.name, key): value
        for block in engine.snapshot().blocks
        for key, value in zip(block.keys, block.values, strict=True)
    }
    assert values["node_value", ()] == 1
    assert values["headroom_collector_errors_total", ("b", "malformed")] == 1


def test_what_the_engine_says_of_collectors_is_nobody_elses(capfd: pytest.CaptureFixture[str]) -> None:
    """A text file that names these would have a failed collector succeed; they are refused even while not served."""
    claimed = [Fake(family.name, says(family, 7)) for family in FAMILIES]  # type: ignore[arg-type]
    engine = Engine([Fake("good", says(VALUE, 1)), *claimed], Clock())  # type: ignore[arg-type]
    blocks = engine.snapshot().blocks
    names = [block.family.name for block in blocks]
    assert sorted(names) == sorted({*(family.name for family in FAMILIES), VALUE.name})
    (errors,) = (block for block in blocks if block.family.name == "headroom_collector_errors_total")
    assert dict(zip(errors.keys, errors.values, strict=True)) == {(fake.name, "malformed"): 1 for fake in claimed}


def test_failures_are_counted_each_time_and_said_once(capfd: pytest.CaptureFixture[str]) -> None:
    """Three failed collections are three counts and one line; what a node simply has not is neither."""
    bad = [Fake("bad", raises(Malformed("stat", "x"))), Fake("none", raises(Absent("mdstat")))]
    engine = Engine(bad, Clock())  # type: ignore[arg-type]
    for _ in range(3):
        batch = engine.snapshot()
    errors = {
        k: v
        for b in batch.blocks
        if b.family.name.endswith("errors_total")
        for k, v in zip(b.keys, b.values, strict=True)
    }
    success = {
        k: v
        for b in batch.blocks
        if b.family.name == "node_scrape_collector_success"
        for k, v in zip(b.keys, b.values, strict=True)
    }
    assert errors == {("bad", "malformed"): 3}
    assert success == {("bad",): 0, ("none",): 0}
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "reason=malformed" in lines[0]
    assert "path=stat" in lines[0]
