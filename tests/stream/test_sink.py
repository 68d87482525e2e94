"""The sink in this process, with a real spool, a scripted engine, and a small aggregator behind real gRPC."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.errors import SpoolError
from agent.eviction.journal import Event, Journal
from agent.eviction.margins import Margin
from agent.eviction.thresholds import Threshold
from agent.model import Batch, Block, Family, Writer
from agent.push.messages import Identity
from agent.push.sink import Plan, Sink
from agent.push.spool import Limits, Spool
from agent.push.transport import Security, Transport
from tests.httpd.serving import make_certificate
from tests.stream.scripted import Aggregator, Store, told
from tests.stream.test_transport import _certificates, _server_credentials
from tests.stream.waiting import until

LOAD = Family("node_load1", "gauge", "1m load average.")
BOOT = Family("node_boots_total", "counter", "Boots.", ("why",))
IDENTITY = Identity("1.2", "c", "n", b"b" * 16, 50)


class Engine:
    """Every batch has its number in it."""

    def __init__(self) -> None:
        self.made = 0
        self.blocks: list[Block] | None = None

    def snapshot(self, max_age_s: float) -> Batch:
        self.made += 1
        blocks = self.blocks or [Block(LOAD, ((),), (self.made,)), Block(BOOT, (("x",), ("y",)), (self.made, 0.5))]
        return Batch(tuple(blocks), time.time(), time.monotonic(), frozenset())


class View:
    def __init__(self, margins: tuple[Margin, ...]) -> None:
        self.margins = margins


class Watch:
    def __init__(self) -> None:
        self.journal = Journal()
        self.margins: tuple[Margin, ...] = ()

    def view(self) -> View:
        return View(self.margins)


class Bench:
    """One sink, and what it is made of."""

    def __init__(self, place: Path, targets: tuple[str, ...], interval_s: float, security: Security) -> None:
        self.engine, self.watch, self.refusals = Engine(), Watch(), 0
        self.directory = str(place / "spool")
        transport = Transport(targets, security) if targets else None
        plan = Plan(interval_s, 0.0, self.directory)
        watch: Any = self.watch
        self.sink = Sink(plan, self._open, watch, IDENTITY, transport)

    def _open(self) -> Spool:
        if self.refusals:
            self.refusals -= 1
            raise SpoolError("no")
        return Spool(self.directory, Limits(max_bytes=1 << 20))

    def start(self) -> None:
        engine: Any = self.engine
        self.sink.start(engine)

    def counted(self) -> dict[tuple[str, tuple[str, ...]], float]:
        out = Writer()
        for instrument in self.sink.telemetry.instruments(True):
            instrument.write(out)
        return {(b.family.name, key): value for b in out.blocks for key, value in zip(b.keys, b.values, strict=True)}

    def errors(self, reason: str) -> float:
        return self.counted().get(("headroom_push_errors_total", (reason,)), 0)


Make = Callable[..., Bench]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Make]:
    made: list[Bench] = []

    def make(*targets: str, interval_s: float = 0.05, security: Security = Security(insecure=True)) -> Bench:
        made.append(Bench(tmp_path, targets, interval_s, security))
        return made[-1]

    yield make
    for one in made:
        one.sink.stop()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def aggregator(store: Store) -> Iterator[Aggregator]:
    one = Aggregator(store)
    yield one
    one.stop()


def loads(store: Store) -> list[float]:
    return [payload[1][0].values[0] for _, payload in store.of("samples")]


def test_who_holds_the_spool_and_does_not_end_is_not_waited_for_for_ever(
    bench: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then nothing is recorded here, as the other records; then in a spool of our own, and it is counted."""
    monkeypatch.setattr("agent.push.sink.YIELD_S", 1.0)
    other = Spool(str(tmp_path / "spool"))
    one = bench()
    one.start()
    until(lambda: one.engine.made == 0 and one.sink._waiting_since_s is not None)
    assert ("headroom_spool_sessions", ()) not in one.counted()
    until(lambda: one.counted().get(("headroom_spool_records_total", ("samples",)), 0) > 2)
    assert one.errors("spool") == 1
    assert len(list((tmp_path / "spool").iterdir())) == 2
    other.close()


def test_every_tick_arrives_once_and_in_order(bench: Make, aggregator: Aggregator, store: Store) -> None:
    """What the engine gave is what the aggregator has: families, keys and values, from the first tick on."""
    one = bench(f"127.0.0.1:{aggregator.port}")
    one.start()
    until(lambda: len(store.of("samples")) >= 30)
    one.sink.stop()
    assert loads(store) == list(range(1, one.engine.made + 1))
    _, blocks = store.of("samples")[-1][1]
    assert [(b.family.name, b.family.type, b.family.help, b.keys) for b in blocks] == [
        ("node_load1", "gauge", "1m load average.", ((),)),
        ("node_boots_total", "counter", "Boots.", (("x",), ("y",))),
    ]
    assert repr(list(blocks[1].values)) == f"[{one.engine.made}, 0.5]"
    assert store.gaps == []
    assert aggregator.errors == []


def test_a_batch_is_spooled_once(bench: Make) -> None:
    """A tick that finds the batch of the tick before, as a late one and the last one do, adds no record."""
    one = bench(interval_s=0.005)
    batch = one.engine.snapshot(0.0)
    asked = 0

    def snapshot(_: float) -> Batch:
        nonlocal asked
        asked += 1
        return batch

    one.engine.snapshot = snapshot  # type: ignore[method-assign]
    one.start()
    until(lambda: asked > 5)
    one.sink.stop()
    assert one.counted()["headroom_spool_records_total", ("samples",)] == 1


def test_it_says_who_it_is(bench: Make, aggregator: Aggregator, store: Store) -> None:
    """The Hello has the identity and both sessions."""
    bench(f"127.0.0.1:{aggregator.port}").start()
    until(lambda: aggregator.hellos)
    hello = aggregator.hellos[0]
    said = (hello.protocol, hello.agent_version, hello.cluster, hello.node, hello.boot_id, hello.interval_ms)
    assert said == (1, "1.2", "c", "n", b"b" * 16, 50)
    assert len(hello.sessions) == 2
    assert hello.spool_limit_bytes == 1 << 20
    assert abs(hello.sent_unix_ms - time.time() * 1000) < 20_000


def test_events_do_not_wait_for_a_tick(
    bench: Make, aggregator: Aggregator, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What happens is at the aggregator in a moment, whole and once, however long the interval."""
    monkeypatch.setattr("agent.push.sink.SECOND_S", 3600.0)
    one = bench(f"127.0.0.1:{aggregator.port}", interval_s=3600.0)
    one.start()
    until(lambda: len(store.of("samples")) == 1)
    for number in range(100):
        one.watch.journal.add(Event(1000.0 + number, "signal", "crossed", f"s{number}", "d", 1.5, 2.0, "bytes"))
    until(lambda: len(told(store)) >= 100, 2.0)
    assert [event.subject for event in told(store)] == [f"s{number}" for number in range(100)]
    event = told(store)[7]
    assert (event.unix_ms, event.observed, event.threshold, event.unit) == (1_007_000, 1.5, 2.0, "bytes")
    ahead_ms = (time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)) * 1000
    assert abs(event.unix_ms - event.boot_ms - ahead_ms) < 1000


def test_events_that_came_too_fast_are_counted(bench: Make) -> None:
    """Those that the journal had dropped before anybody took them are told as missed."""
    one = bench()
    for number in range(1100):
        one.watch.journal.add(Event(1.0, "signal", "crossed", str(number)))
    one.start()
    until(lambda: one.errors("missed") == 76)


def test_the_end_is_a_last_tick_and_a_goodbye(bench: Make, aggregator: Aggregator, store: Store) -> None:
    """A clean stop collects once more, and is done in much less than a second."""
    one = bench(f"127.0.0.1:{aggregator.port}", interval_s=3600.0)
    one.start()
    until(lambda: len(store.of("samples")) == 1)
    began_s = time.monotonic()
    one.sink.stop()
    assert time.monotonic() - began_s < 0.7
    until(lambda: aggregator.goodbyes == 1)
    assert loads(store) == [1, 2]


def test_a_stop_does_not_wait_for_a_dead_aggregator(bench: Make, aggregator: Aggregator, store: Store) -> None:
    """With an aggregator that says nothing any more it still ends within a second."""
    aggregator.silent = True
    one = bench(f"127.0.0.1:{aggregator.port}")
    one.start()
    until(lambda: aggregator.hellos)
    began_s = time.monotonic()
    one.sink.stop()
    assert time.monotonic() - began_s < 1.0


def test_what_was_not_delivered_waits_for_the_next_process(bench: Make, store: Store) -> None:
    """Without an aggregator records are kept; the next process delivers them and its own."""
    first = bench()
    first.start()
    until(lambda: first.engine.made >= 5)
    first.sink.stop()
    aggregator = Aggregator(store)
    second = bench(f"127.0.0.1:{aggregator.port}")
    second.start()
    until(lambda: len(store.of("samples")) >= first.engine.made + 3)
    second.sink.stop()
    sessions = {number: [] for _, number, _ in (where for where, _ in store.of("samples"))}  # type: ignore[var-annotated]
    for (_, number, _), (_, blocks) in store.of("samples"):
        sessions[number].append(blocks[0].values[0])
    assert sessions == {1: list(range(1, first.engine.made + 1)), 2: list(range(1, second.engine.made + 1))}
    assert store.gaps == []
    aggregator.stop()


def test_what_is_damaged_is_declared(bench: Make, store: Store) -> None:
    """From the first record that cannot be read to the end of its file all is lost, and said; the rest arrives."""
    first = bench()
    first.start()
    until(lambda: first.engine.made >= 6)
    first.sink.stop()
    (path,) = Path(first.directory).glob("*/samples-1-*")
    data = bytearray(path.read_bytes())
    start = -1
    for _ in range(4):  # the header, and three records
        start = data.index(b"hdr1", start + 1)
    data[start + 30] ^= 1
    path.write_bytes(data)
    aggregator = Aggregator(store)
    second = bench(f"127.0.0.1:{aggregator.port}")
    second.start()
    until(lambda: store.gaps and len(store.of("samples")) >= 5)
    second.sink.stop()
    aggregator.stop()
    of_first = [seq for (_, number, seq), _ in store.of("samples") if number == 1]
    assert of_first == [1, 2]
    (gap,) = store.gaps
    assert (gap.first_number, gap.first, gap.reason) == (1, 3, "CORRUPT")


def test_what_the_aggregator_never_takes_is_declared(bench: Make, aggregator: Aggregator, store: Store) -> None:
    """A record that is larger than the aggregator says it takes does not block what comes after it."""
    aggregator.record_bytes = 1
    one = bench(f"127.0.0.1:{aggregator.port}")
    noise = tuple((os.urandom(40).hex(),) for _ in range(1500))
    one.engine.blocks = [Block(BOOT, noise, [1] * len(noise))]
    one.start()
    until(lambda: store.gaps)
    one.engine.blocks = None
    until(lambda: len(store.of("samples")) > 3)
    assert {gap.reason for gap in store.gaps} == {"REJECTED"}


def test_it_counts(bench: Make, aggregator: Aggregator, store: Store) -> None:
    """Streams, records, bytes, acknowledgements, the connection and the lag; the spool's counts are there too."""
    one = bench(f"127.0.0.1:{aggregator.port}", interval_s=3600.0)
    one.start()
    until(lambda: one.counted()["headroom_push_acks_total", ()] >= 1)
    counted = one.counted()
    assert counted["headroom_push_connected", ()] == 1
    assert counted["headroom_push_streams_total", ()] == 1
    assert counted["headroom_push_sent_records_total", ("samples",)] == 1
    assert counted["headroom_push_sent_bytes_total", ()] > 100
    assert counted["headroom_push_lag_seconds", ()] == 0
    assert counted["headroom_spool_records_total", ("samples",)] == 1
    aggregator.stop()
    until(lambda: one.counted()["headroom_push_connected", ()] == 0)
    assert sum(value for (name, _), value in one.counted().items() if name == "headroom_push_errors_total") >= 1


def test_what_is_not_acknowledged_lags(bench: Make, aggregator: Aggregator) -> None:
    """The lag grows while nothing is acknowledged."""
    aggregator.silent = True
    one = bench(f"127.0.0.1:{aggregator.port}")
    one.start()
    until(lambda: one.counted()["headroom_push_lag_seconds", ()] > 0.3)
    assert one.counted()["headroom_push_connected", ()] == 0


def test_a_spool_that_cannot_be_opened_is_tried_again(bench: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted, with the ticks that it cost, and when it can be opened everything goes on."""
    monkeypatch.setattr("agent.push.sink.REOPEN_S", 0.05)
    one = bench()
    one.refusals = 3
    one.start()
    until(lambda: one.counted().get(("headroom_spool_records_total", ("samples",)), 0) > 2)
    assert one.errors("spool") == 3
    assert 2 <= one.errors("no_spool") <= 5


def test_a_batch_that_cannot_be_encoded_costs_itself(bench: Make, aggregator: Aggregator, store: Store) -> None:
    """It is counted as a defect; the ticks after it arrive, and are right."""
    one = bench(f"127.0.0.1:{aggregator.port}")
    one.start()
    until(lambda: len(store.of("samples")) >= 3)
    one.engine.blocks = [Block(LOAD, ((), ()), (1,))]
    until(lambda: one.errors("defect") >= 2)
    one.engine.blocks = [Block(LOAD, ((),), (-5,))]
    until(lambda: loads(store)[-1] == -5)
    assert aggregator.errors == []


def test_streams_that_nobody_welcomes_do_not_use_up_the_sessions(
    bench: Make, aggregator: Aggregator, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them needs twice the backlog to seal a session, so that none has to be given up for a new one."""
    monkeypatch.setattr("random.random", lambda: 0.0)
    aggregator.silent = True
    one = bench(f"127.0.0.1:{aggregator.port}", interval_s=0.002)
    one.start()
    for _ in range(12):
        before, made = len(aggregator.hellos), one.engine.made
        until(lambda made=made: one.engine.made > made + 70)  # type: ignore[misc]
        _cut(aggregator)
        until(lambda before=before: len(aggregator.hellos) > before)  # type: ignore[misc]
    assert len(aggregator.hellos[-1].sessions) <= 8
    aggregator.silent = False
    _cut(aggregator)
    until(lambda: len(store.of("samples")) > 800)
    one.sink.stop()
    assert store.gaps == []


def _cut(aggregator: Aggregator) -> None:
    for answers in list(aggregator._streams.values()):
        answers.put(None)


def test_new_certificates_make_a_new_stream(tmp_path: Path, bench: Make, store: Store) -> None:
    """A certificate that was replaced is shown, without a restart; nothing is lost by it."""
    security = _certificates(tmp_path)
    aggregator = Aggregator(store, 0, _server_credentials(tmp_path))
    one = bench(f"127.0.0.1:{aggregator.port}", security=security)
    one.start()
    until(lambda: len(store.of("samples")) >= 3)
    make_certificate(tmp_path, "node", "/CN=node", signed_by="ca")
    until(lambda: len(aggregator.hellos) >= 2)
    until(lambda: loads(store) and loads(store)[-1] >= one.engine.made - 3)
    one.sink.stop()
    aggregator.stop()
    assert loads(store) == list(range(1, len(loads(store)) + 1))


@pytest.mark.parametrize(("thresholds", "left"), [(1.0, 0.0), (1.25, 0.5), (3.0, 1.0)])
def test_the_spool_yields_its_disk(bench: Make, thresholds: float, left: float) -> None:
    """As the filesystem of the spool comes near its eviction threshold, the spool's bound goes down to nothing."""
    one = bench(interval_s=3600.0)
    os.makedirs(one.directory)
    st = os.statvfs(one.directory)
    available = st.f_bavail * st.f_frsize
    threshold = Threshold("nodefs.available", "hard", int(available / thresholds), None)
    capacity = st.f_blocks * st.f_frsize
    margin = Margin(threshold, "direct", available, capacity, int(available / thresholds), False)
    one.watch.margins = (
        margin,
        margin._replace(quantity=available, capacity=capacity - 4096),
    )  # the latter is another disk
    one.start()
    until(lambda: ("headroom_spool_limit_bytes", ()) in one.counted())
    limit = ("headroom_spool_limit_bytes", ())
    until(lambda: abs(one.counted()[limit] / (1 << 20) - left) < 0.01)


def test_the_journal_wakes_whoever_asked() -> None:
    """Each event calls once, after it can be read."""
    journal, seen, lock = Journal(), [], threading.Lock()

    def woken() -> None:
        with lock:
            seen.append(len(journal.after(0)))

    journal.tell = woken
    for number in range(3):
        journal.add(Event(1.0, "signal", "crossed", str(number)))
    assert seen == [1, 2, 3]
