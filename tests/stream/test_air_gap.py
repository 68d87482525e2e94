"""A site without a network: the agent only spools, is killed again and again, and the export is what was collected."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.peers.processes import REPOSITORY, Served, start_agent
from tests.stream.witness import SHARING, Seen, look, samples

KILLS = 20
ROUNDS = 120  # 20 minutes at the default interval
WITNESSED = 0.9  # of what was spooled: whoever looks from outside misses some that a kill followed at once
MISSING = "headroom_spool_missing_records"
GAP = re.compile(
    rf'^{MISSING}\{{spool="\w+",lane="samples",session="(\d+)",first="(\d+)",last="(\d+)"\}} (\d+) \S+$', re.MULTILINE
)


class Life(NamedTuple):
    """One process. ``seen``: its batches, in their order."""

    seen: list[Seen]

    @property
    def certain(self) -> list[Seen]:
        """Those of which a later batch tells that they were spooled before it."""
        most = max((one.before or 0 for one in self.seen), default=0)
        return [one for one in self.seen if one.before is not None and one.before < most]


class Export(NamedTuple):
    """``rounds``: the samples of each tick, by its ``node_time_seconds``. ``gaps``: session, first, last, records."""

    code: int
    said: str
    rounds: dict[str, set[str]]
    gaps: list[tuple[int, ...]]


def live(spool: Path, interval_s: float, seconds: float, kill: bool) -> Life:
    """A process that spools for so long and is then killed, in whatever it is doing."""
    flags = ("--spool.dir", str(spool), "--push.interval", f"{interval_s}s", "--spool.max-bytes", "256MiB", *SHARING)
    seen: dict[str, Seen] = {}
    with start_agent(*flags) as agent:
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            _witness(agent, seen)
            assert not agent.ended_within(min(left_s, interval_s / 8)), agent.log()
        if kill:
            agent.process.kill()
            agent.process.wait()
        assert "level=error" not in agent.log()
    return Life(list(seen.values()))


def _witness(agent: Served, seen: dict[str, Seen]) -> None:
    if found := look(agent):
        seen.setdefault(found.time, found)


def exported(spool: Path, place: Path) -> Export:
    """By the command, read again tick by tick."""
    file = place / "out.om"
    arguments = ["spool", "export", "--spool.dir", str(spool), "--openmetrics", str(file)]
    command = [sys.executable, "-m", "agent.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=REPOSITORY)
    text = file.read_text()
    by_stamp: dict[str, list[str]] = {}
    for line in text.splitlines():
        if not line.startswith(("#", MISSING)):
            sample, _, stamp = line.rpartition(" ")
            by_stamp.setdefault(stamp, []).append(sample)
    rounds = {}
    for stamp, lines in by_stamp.items():
        (time_s,) = [line.split()[1] for line in lines if line.startswith("node_time_seconds ")]
        assert abs(float(time_s) - float(stamp)) < 5, "a tick has the time at which it was collected"
        rounds[time_s] = samples("\n".join(lines))
    gaps = [tuple(map(int, one)) for one in GAP.findall(text)]
    return Export(done.returncode, done.stderr, rounds, gaps)


def check_whole(lives: list[Life], out: Export) -> None:
    """What was seen to be collected is there, sample for sample; what is there and was not seen is little."""
    seen = {one.time: one for life in lives for one in life.seen}
    for time_s in seen.keys() & out.rounds.keys():
        assert out.rounds[time_s] == seen[time_s].samples
    certain = {one.time for life in lives for one in life.certain}
    assert certain - out.rounds.keys() == set()
    assert len(certain) >= len(seen) - 2 * len(lives)  # the first of a process, and the last
    assert len(out.rounds.keys() & seen.keys()) >= WITNESSED * len(out.rounds)
    assert {records for *_, records in out.gaps} <= {1}, "at most what a kill cut off while it was written"
    assert len(out.gaps) <= KILLS
    assert out.code == (1 if out.gaps else 0), out.said


def check_gaps(spool: Path, place: Path, whole: Export) -> None:
    """A session that is gone and a bit that flipped: declared with their numbers, and all else is as it was."""
    damaged = place / "damaged"
    shutil.copytree(spool, damaged)
    next(damaged.rglob("samples-3-*")).unlink()
    (path,) = damaged.rglob("samples-7-*")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    out = exported(damaged, place)
    assert out.code == 1, "whoever asks is told that something is missing"
    assert {time_s: whole.rounds[time_s] for time_s in out.rounds} == out.rounds
    assert {gap[0] for gap in out.gaps} == {3, 7} | {gap[0] for gap in whole.gaps}
    before, after = (sum(gap[3] for gap in one.gaps) for one in (whole, out))
    assert after - before == len(whole.rounds) - len(out.rounds)
    assert all(records == last - first + 1 > 0 for _, first, last, records in out.gaps)


def run(place: Path, interval_s: float) -> str:
    """Returns what happened, in a line."""
    chance, spool = random.Random(interval_s), place / "spool"
    lives = []
    for number in range(KILLS + 1):
        seconds = interval_s * ROUNDS / (KILLS + 1) * chance.uniform(0.5, 1.5)
        lives.append(live(spool, interval_s, seconds, kill=number < KILLS))
    out = exported(spool, place)
    check_whole(lives, out)
    check_gaps(spool, place, out)
    assert len(out.rounds) >= ROUNDS * 0.9
    witnessed, written = sum(len(life.seen) for life in lives), sum(map(len, out.rounds.values()))
    return (
        f"{KILLS} kills, {len(out.rounds)} ticks spooled and {len(out.gaps)} cut off, {witnessed} witnessed over HTTP, "
        f"{written} samples exported"
    )


def test_twenty_kills_of_an_agent_that_only_spools(tmp_path: Path) -> None:
    """120 ticks of this node through 20 SIGKILLs: the export has each, as /metrics showed it, and declares gaps."""
    print(run(tmp_path, 0.2))


@pytest.mark.slow
def test_twenty_minutes_of_an_agent_that_only_spools(tmp_path: Path) -> None:
    """The same at the default interval, which takes 20 minutes."""
    print(run(tmp_path, 10.0))
