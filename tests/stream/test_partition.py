"""Ten minutes without a network at a tick a second: nothing is lost, and the backlog drains behind what is live."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agent.model import Batch, Block, Family
from agent.push.messages import Identity
from agent.push.sink import Plan, Sink
from agent.push.spool import Limits, Spool
from agent.push.transport import Security, Transport
from tests.aggregator.running import Running, start_aggregator
from tests.peers.processes import Served, start_agent
from tests.stream.both_disks import Spooled, declared_of, look, stored_of
from tests.stream.proxy import Proxy
from tests.stream.waiting import LOOK_S, until

ROUNDS = 600
LIVE_S = 2.0  # how old what is shown may be
DRAIN_S = 5.0  # about how long the link needs for the backlog: else there would be no time in which to look
LOOKS = 20
PAGE = "/clusters/default/nodes/n1/metrics"
TIME = Family("node_time_seconds", "gauge", "System time in seconds since epoch (1970).")
NOISE = Family("node_noise", "gauge", "Something that moves.", ("number",))


class Look(NamedTuple):
    """``age_s`` of what the aggregator shows, None for nothing; ``behind``: records that it has not committed."""

    age_s: float | None
    behind: int


def age_s(running: Running) -> float | None:
    answer = running.request(PAGE)
    if answer.status != 200:
        return None
    found = re.search(rb"^node_time_seconds (\S+)$", answer.body, re.MULTILINE)
    assert found
    return time.time() - float(found[1])


def is_live(running: Running) -> bool:
    age = age_s(running)
    return age is not None and age < LIVE_S


def committed(running: Running) -> int:
    return sum(one["committed"] for one in running.node("n1")["sessions"] if one["lane"] == "samples")


def part(running: Running, proxy: Proxy, spool: Path, spooled: Callable[[], int], seconds: float) -> str:
    """Cuts them off for so many ticks, then looks on. Returns what happened, in a line."""
    until(lambda: is_live(running), 30)
    proxy.cut()
    began_s, before = time.monotonic(), spooled()
    until(lambda: spooled() >= before + ROUNDS, seconds)
    behind, lasted_s = spooled() - committed(running), time.monotonic() - began_s
    assert behind >= ROUNDS - 1
    proxy.bytes_per_s = sum(path.stat().st_size for path in spool.glob("*/samples-*")) / DRAIN_S
    proxy.mend()
    until(lambda: running.node("n1")["streams"], 90)  # the pause between two tries is up to a minute
    again_s, pause = time.monotonic(), threading.Event()
    until(lambda: is_live(running), LIVE_S)
    looks = [Look(age_s(running), spooled() - committed(running))]
    while looks[-1].behind > 2:
        looks.append(Look(age_s(running), spooled() - committed(running)))
        assert time.monotonic() - again_s < 120, looks[-1]
        pause.wait(LOOK_S)
    drained_s = time.monotonic() - again_s
    ages = [one.age_s for one in looks]
    assert None not in ages
    oldest_s = max(age for age in ages if age is not None)
    assert oldest_s < LIVE_S
    assert len(looks) >= LOOKS
    assert looks[0].behind > ROUNDS / 4, "the backlog was still to come when what is live was there"
    return (
        f"cut for {lasted_s:.1f} s, {behind} records behind; {looks[0].behind} still when what is live was shown; "
        f"drained in {drained_s:.1f} s at {proxy.bytes_per_s:.0f} B/s; what was shown until then was at most "
        f"{oldest_s:.2f} s old in {len(looks)} looks"
    )


def check_whole(spool: Path, data: Path) -> str:
    """After both have ended: every record that was spooled is stored, once and equal. Nothing is declared lost."""
    spooled: Spooled = {}
    look(spool, spooled)
    stored = stored_of(data)
    assert declared_of(data) == []
    assert len({(sid, seq) for sid, seq, _ in stored}) == len(stored) > ROUNDS
    have = {(sid, seq): bytes for sid, seq, bytes in stored}
    assert have == {name: record.data for name, record in spooled.items() if name in have}
    missing = spooled.keys() - have.keys()
    assert len(missing) <= 2, "but for what came while they were ended"
    return f"{len(stored)} records stored once and equal, no gap"


@pytest.mark.slow
def test_ten_minutes_at_a_tick_a_second(tmp_path: Path) -> None:
    """A real agent on this node."""
    with start_aggregator(tmp_path / "data") as running:
        host, _, port = running.grpc.rpartition(":")
        proxy = Proxy((host, int(port)))
        flags = ("--push.insecure", "--push.target", f"127.0.0.1:{proxy.port}", "--push.interval", "1s")
        spool = ("--spool.dir", str(tmp_path / "spool"), "--spool.max-bytes", "256MiB", "--node-name", "n1")
        with start_agent(*flags, *spool) as agent:
            print(part(running, proxy, tmp_path / "spool", lambda: _spooled(agent), 2 * ROUNDS))
            proxy.bytes_per_s = None
        proxy.close()
    print(check_whole(tmp_path / "spool", tmp_path / "data"))


def _spooled(agent: Served) -> int:
    found = re.search(
        rb'^headroom_spool_records_total\{lane="samples"\} (\S+)$', agent.get("/metrics/headroom"), re.MULTILINE
    )
    return int(float(found[1])) if found else 0


class Engine:
    """Batches with the time in them, and values that move."""

    def __init__(self) -> None:
        self.made = 0
        self._keys = tuple((str(number),) for number in range(100))

    def snapshot(self, _: float) -> Batch:
        self.made += 1
        values = [(self.made * 7919 * number) % 1009 for number in range(100)]
        blocks = (Block(TIME, ((),), (time.time(),)), Block(NOISE, self._keys, values))
        return Batch(blocks, time.time(), time.monotonic(), frozenset())


def test_six_hundred_ticks_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same 600 ticks at 20 ms and with shorter pauses between tries: the sink, but for what collects."""
    monkeypatch.setattr("random.random", lambda: 0.01)
    engine: Any = Engine()
    with start_aggregator(tmp_path / "data") as running:
        host, _, port = running.grpc.rpartition(":")
        proxy = Proxy((host, int(port)))
        transport = Transport([f"127.0.0.1:{proxy.port}"], Security(insecure=True))
        spool = str(tmp_path / "spool")
        identity = Identity("1", "", "n1", b"b" * 16, 20)
        sink = Sink(Plan(0.02, 0.0, spool), lambda: Spool(spool, Limits()), None, identity, transport)
        sink.start(engine)
        try:
            print(part(running, proxy, tmp_path / "spool", lambda: engine.made, 60))
            proxy.bytes_per_s = None
        finally:
            sink.stop()
        proxy.close()
    print(check_whole(tmp_path / "spool", tmp_path / "data"))
