"""A process that spools is killed with SIGKILL at random, again and again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from agent.push.disk import Disk
from agent.push.held import Key
from agent.push.spool import Limits, Spool
from tests.peers.processes import REPOSITORY
from tests.unit.push.spooling import of, readable

KILLS = 20
# Appends as fast as it can, and says each record that is appended: lane, number, sequence, payload.
WRITER = """
import os, sys
from agent.push.spool import Limits, Spool
from tests.unit.push.spooling import of
spool = Spool(sys.argv[1], Limits(file_bytes=20_000))
number = 0
while True:
    number += 1
    lane = "events" if number % 9 == 0 else "samples"
    payload = b"%s-%d-%d" % (sys.argv[2].encode(), number, number) * (1 + number % 40)
    key, seq = spool.append(lane, of(payload))
    os.write(1, b"%s %s %d %d %s\\n" % (key.spool_id.hex().encode(), lane.encode(), key.number, seq, payload))
"""


def said_before_its_death(root: Path, name: str, chance: random.Random) -> list[bytes]:
    """What the writer said, killed after a random number of records."""
    command = [sys.executable, "-c", WRITER, str(root), name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(chance.randrange(1, 1500))]
        os.kill(writer.pid, signal.SIGKILL)
        lines += writer.stdout.readlines()
    return [line for line in lines if line.endswith(b"\n")]


def test_what_was_appended_before_a_kill_is_there_once(tmp_path: Path) -> None:
    """Every record whose append returned, with its payload; at most one more per kill; and no number twice."""
    chance = random.Random(5)
    said: dict[tuple[Key, int], bytes] = {}
    for kill in range(KILLS):
        for line in said_before_its_death(tmp_path, str(kill), chance):
            spool_id, lane, number, seq, payload = line.split()
            key = Key(bytes.fromhex(spool_id.decode()), "events" if lane == b"events" else "samples", int(number))
            assert (key, int(seq)) not in said
            said[key, int(seq)] = payload
    spool = Spool(str(tmp_path), Limits())
    found = readable(spool)
    assert len(said) > 20 * KILLS
    assert {place: found.get(place) for place in said} == said
    assert len(set(found.values())) == len(found)
    assert len(found) <= len(said) + KILLS
    held = [one for one in spool.held() if one.key.lane == "samples"]
    assert [one.base for one in held] == [sum(one.last for one in held[:index]) for index in range(len(held))]
    assert Counter(one.key.lane for one in spool.held()) == {"events": KILLS + 1, "samples": KILLS + 1}
    spool.close()


@pytest.mark.needs("root", "netns")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """A small filesystem: what is kept is whole, the rest declared, and it goes on when there is room again."""
    root = tmp_path / "small"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(root)], check=True)
    try:
        (root / "spool").mkdir()
        (root / "filler").write_bytes(b"x" * 100_000)
        spool = Spool(str(root / "spool"), Limits(file_bytes=16_000), Disk())
        appended = [spool.append("samples", of(b"%d" % number * 300)) for number in range(300)]
        lost = sum(place is None for place in appended)
        assert 0 < lost < 300
        (root / "filler").unlink()
        appended += [spool.append("samples", of(b"%d" % number * 300)) for number in range(300, 320)]
        assert None not in appended[300:]
        assert set(readable(spool)) == {place for place in appended if place}
        assert sum(one.last - one.first + 1 for one in spool.changes() or () if one.reason == "DISK") == lost
        spool.close()
    finally:
        subprocess.run(["umount", str(root)], check=True)
