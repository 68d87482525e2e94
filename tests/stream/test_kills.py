"""Agent and aggregator, each killed again and again: the store has every record that was spooled, once, or its loss."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from agent.aggregator.lanes import Gap
from agent.push.held import Key
from agent.push.spool_format import parse_directory, parse_name
from tests.aggregator.running import Running, start_aggregator
from tests.peers.processes import Served, start_agent
from tests.stream.both_disks import Name, Spooled, covers, declared_of, look, stored_of
from tests.stream.proxy import Proxy
from tests.stream.waiting import until

KILLS = 20  # of each
DAMAGED = (6, 13, 19)  # after these kills of the agent a record that nobody has yet is damaged


def damage(spool: Path, data: Path, known: Spooled) -> set[Name]:
    """Flips a bit in the middle of what the last session has and the store has not. Gives what is lost by it: the rest
    of that file."""
    stored = {(sid, seq) for sid, seq, _ in stored_of(data)}
    number = max(record.key.number for record in known.values() if record.key.lane == "samples")
    only_here = [one for one in known if known[one].key[1:] == ("samples", number) and one not in stored]
    sid, seq = sorted(only_here)[len(only_here) // 2]
    (path,) = spool.glob(f"*/samples-{number}-*")
    buf = bytearray(path.read_bytes())
    buf[buf.index(known[sid, seq].data) + 30] ^= 1
    path.write_bytes(buf)
    return {one for one in only_here if one[1] >= seq}


class Pair:
    """An agent, an aggregator, and what was ever spooled. Whoever is killed is started again."""

    def __init__(self, place: Path, interval_s: float, chance: random.Random) -> None:
        self.spool, self.data, self.interval_s, self.chance = place / "spool", place / "data", interval_s, chance
        self.spooled: Spooled = {}
        self.lost: set[Name] = set()
        self.kills: Counter[str] = Counter()
        self.proxy = Proxy()
        self.start_aggregator()
        self.agent: Served = self._agent(interval_s)

    def _agent(self, interval_s: float) -> Served:
        flags = (
            "--push.insecure",
            "--push.target",
            f"127.0.0.1:{self.proxy.port}",
            "--push.interval",
            f"{interval_s}s",
        )
        spool = ("--spool.dir", str(self.spool), "--spool.max-bytes", "256MiB", "--node-name", "n1")
        return start_agent(*flags, *spool)

    def live(self, rounds: float) -> None:
        """For so many ticks; a kill may hit anything that the two do then."""
        seconds = rounds * self.interval_s
        assert not self.agent.ended_within(seconds), self.agent.log()

    def kill_agent(self) -> None:
        self.kills["agent"] += 1
        if self.kills["agent"] in DAMAGED:
            self.kill_aggregator(again=False)
            self.live(10)
        kill(self.agent)
        look(self.spool, self.spooled)
        if self.kills["agent"] in DAMAGED:
            self.lost |= damage(self.spool, self.data, self.spooled)
            self.start_aggregator()
        self.agent = self._agent(self.interval_s)

    def kill_aggregator(self, again: bool = True) -> None:
        self.kills["aggregator"] += 1
        self.proxy.target = None
        kill(self.aggregator)
        if again:
            self.start_aggregator()

    def start_aggregator(self) -> None:
        self.aggregator: Running = start_aggregator(self.data)
        host, _, port = self.aggregator.grpc.rpartition(":")
        self.proxy.target = host, int(port)

    def finish(self) -> None:
        """One more process, that collects once and delivers all there is."""
        kill(self.agent)
        before = self.newest()
        self.agent = self._agent(3600.0)
        until(lambda: self.newest() > before and self.is_delivered(), 120)
        kill(self.agent)
        look(self.spool, self.spooled)

    def newest(self) -> int:
        """Session of samples that was begun last."""
        return max(int(path.name.split("-")[1]) for path in self.spool.glob("*/samples-*"))

    def is_delivered(self) -> bool:
        newest = self.newest()
        look(self.spool, self.spooled)
        have = Counter(record.key for record in self.spooled.values())
        if newest not in {key.number for key in have}:
            return False  # its own tick has still to come
        (node,) = self.aggregator.json("/api/v1/nodes")["nodes"]
        told = {(one["lane"], one["number"]): one["committed"] for one in node["sessions"]}
        return all(told.get((key.lane, key.number), 0) >= count for key, count in have.items())

    def stop(self) -> None:
        self.agent.stop()
        self.aggregator.stop()
        self.proxy.close()


def kill(one: Served) -> None:
    one.process.kill()
    one.process.wait()
    assert "level=error" not in one.log(), one.log()
    one.stop()


def check(pair: Pair) -> str:
    """Returns what happened, in a line."""
    stored = stored_of(pair.data)
    twice = [one for one, times in Counter((sid, seq) for sid, seq, _ in stored).items() if times > 1]
    assert twice == []
    assert {(sid, seq): data for sid, seq, data in stored} == {
        name: record.data for name, record in pair.spooled.items() if name not in pair.lost
    }
    gaps = declared_of(pair.data)
    declared = {
        (sid, seq) for (sid, seq), record in pair.spooled.items() if any(covers(gap, record.key, seq) for gap in gaps)
    }
    assert declared == pair.lost != set()
    torn = torn_of(pair, gaps)
    assert sum(gap.records or 0 for gap in gaps) == len(pair.lost) + torn
    assert torn <= KILLS
    assert {gap.reason for gap in gaps} == {"CORRUPT"}
    sessions, size_bytes = {record.key for record in pair.spooled.values()}, sum(len(data) for *_, data in stored)
    return (
        f"{pair.kills['agent']} kills of the agent, {pair.kills['aggregator']} of the aggregator; "
        f"{len(pair.spooled)} records spooled in {len(sessions)} sessions, {len(stored)} stored once and equal "
        f"({size_bytes} bytes), {len(pair.lost)} damaged and {torn} half written ones declared in {len(gaps)} gaps"
    )


def torn_of(pair: Pair, gaps: list[Gap]) -> int:
    """How many sessions end in a record that a kill cut off: it was never spooled, and counts as one that is lost."""
    last = {
        Key(spool_id, name.lane, name.number): 0
        for path in pair.spool.glob("*/*")
        if (spool_id := parse_directory(path.parent.name)) and (name := parse_name(path.name))
    }
    for (_, seq), record in pair.spooled.items():
        last[record.key] = max(last[record.key], seq)
    return sum(covers(gap, key, seq + 1) for key, seq in last.items() for gap in gaps)


def run(place: Path, interval_s: float, rounds: int) -> str:
    chance = random.Random(rounds)
    pair = Pair(place, interval_s, chance)
    try:
        while min(pair.kills["agent"], pair.kills["aggregator"]) < KILLS:
            pair.live(chance.uniform(0, 2 * rounds / (2 * KILLS)))
            left = {name: KILLS - pair.kills[name] for name in ("agent", "aggregator") if pair.kills[name] < KILLS}
            if chance.choices(list(left), list(left.values()))[0] == "agent":
                pair.kill_agent()
            else:
                pair.kill_aggregator()
        pair.finish()
    finally:
        pair.stop()
    return check(pair)


def test_twenty_kills_of_each(tmp_path: Path) -> None:
    """At random moments of a run of this node's samples: each record is stored as it was spooled, or its loss told."""
    print(run(tmp_path, 0.1, 300))


@pytest.mark.slow
def test_twenty_kills_of_each_in_ten_minutes(tmp_path: Path) -> None:
    """The same, at one tick a second."""
    print(run(tmp_path, 1.0, 600))
