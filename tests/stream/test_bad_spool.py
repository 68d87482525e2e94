"""Spools that disks, later versions or somebody's hands have spoiled: each file costs itself, and the agent goes on."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.cli import main
from agent.model import Block, Family
from agent.push import export
from agent.push.disk import Disk
from agent.push.held import Key
from agent.push.spool import Limits, Place, Spool
from agent.push.spool_format import parse_name
from agent.wire import ingest_pb2 as pb
from agent.wire.encoder import Encoder
from agent.wire.frame import MAGIC, frame, read_frame
from agent.wire.record import deflated, pack
from tests.aggregator.running import start_aggregator
from tests.peers.processes import start_agent
from tests.stream.both_disks import covers, declared_of, stored_of
from tests.stream.waiting import until

TICKS = 10  # of each session
BAD = 5  # the record that is spoiled
LOAD = Family("node_load1", "gauge", "1m load average.")
UNKNOWN = b"\xc2\x3e\x03abc"  # field 1000
BYTES_MAX = 96 << 20  # resident, of an agent that holds all this


class Frames(list[bytes]):
    """A file taken apart: the header, then the records; ``path`` is where it lies."""

    path: Path

    @classmethod
    def of(cls, path: Path) -> Frames:
        found, buf, offset = cls(), path.read_bytes(), 0
        while one := read_frame(buf, offset, len(buf)):
            found.append(one.body)  # type: ignore[union-attr]
            offset = one.end  # type: ignore[union-attr]
        found.path = path
        return found

    def write(self) -> None:
        self.path.write_bytes(b"".join(map(frame, self)))


def raw(change: Callable[[bytes, int, int], bytes]) -> Callable[[Frames], None]:
    """Of the file's bytes, with the place of the bad record in them: from, to."""

    def spoil(frames: Frames) -> None:
        begin = sum(len(frame(one)) for one in frames[:BAD])
        frames.path.write_bytes(change(frames.path.read_bytes(), begin, begin + len(frame(frames[BAD]))))

    return spoil


def record(change: Callable[[pb.Record], object]) -> Callable[[Frames], None]:
    """Of what a record says; its frame is right."""

    def spoil(frames: Frames) -> None:
        said = pb.Record.FromString(frames[BAD])
        change(said)
        frames[BAD] = said.SerializeToString()
        frames.write()

    return spoil


def bomb(said: pb.Record) -> None:
    said.body_bytes, said.body = 1000, deflated(bytes(32 << 20))


def future(frames: Frames) -> None:
    header = pb.Header.FromString(frames[0])
    header.format = 2
    frames[0] = header.SerializeToString()
    frames.write()


def unknown(frames: Frames) -> None:
    frames[:] = [one + UNKNOWN for one in frames]
    frames.write()


def other_file(frames: Frames) -> None:
    frames.path.write_bytes(b"x" * (17 << 20))


# What is done to a session, and from which of its records on it is lost; 0: nothing is.
SPOILED: dict[str, tuple[Callable[[Frames], None], int]] = {
    "truncated": (raw(lambda data, begin, end: data[: begin + 20]), BAD),
    "as it was": (lambda frames: None, 0),
    "empty": (raw(lambda data, begin, end: b""), 1),
    "bit flipped": (raw(lambda data, begin, end: data[: end - 9] + bytes([data[end - 9] ^ 8]) + data[end - 8 :]), BAD),
    "too large": (other_file, 1),
    "a record twice": (raw(lambda data, begin, end: data[:end] + data[begin:]), BAD + 1),
    "of a future version": (future, 1),
    "with what a future version adds": (unknown, 0),
    "a length that lies": (
        raw(lambda data, begin, end: data[:begin] + struct.pack("<II", MAGIC, 0xFFFFFFF0) + data[begin + 8 :]),
        BAD,
    ),
    "zeros": (raw(lambda data, begin, end: data[:begin] + bytes(len(data) - begin)), BAD),
    "a number near 2^64": (record(lambda said: setattr(said, "seq", 2**64 - 1)), BAD),
    "of another session": (record(lambda said: setattr(said, "sid", b"x" * 16)), BAD),
    "a body that is short": (record(lambda said: setattr(said, "body", said.body[:-2])), BAD),
    "a zlib bomb": (record(bomb), BAD),
}
REFUSED = ("a body that is short", "a zlib bomb")  # whole on disk: only the aggregator can tell


def prepare(root: Path) -> None:
    """A session for each, in their order, and one more that is as it was."""
    for _ in range(len(SPOILED) + 1):
        spool, encoder = Spool(str(root), Limits(max_bytes=256 << 20)), Encoder()

        def make(place: Place, encoder: Encoder = encoder) -> bytes:
            if place.begins:
                encoder.begin(())
            blocks = (Block(LOAD, ((),), (place.key.number + place.seq / 100,)),)
            return pack(place.sid, place.seq, encoder.tick(blocks, 1_700_000_000_000 + place.seq, place.seq))

        for _ in range(TICKS):
            assert spool.append("samples", make)
        spool.close()
    (directory,) = root.iterdir()
    for number, (spoil, _) in enumerate(SPOILED.values(), 1):
        (path,) = directory.glob(f"samples-{number}-*")
        spoil(Frames.of(path))
    (directory / f"samples-{10**18 * 8}-{'a' * 32}-{'0' * 15}1").write_bytes(b"no number of ours")
    (directory / "samples-1-x").symlink_to("/dev/zero")


def lost() -> set[tuple[int, int]]:
    """(session, record) of all that cannot come."""
    return {
        (number, seq)
        for number, (_, first) in enumerate(SPOILED.values(), 1)
        for seq in range(first or TICKS + 1, TICKS + 1)
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    prepare(tmp_path / "spool")
    return tmp_path / "spool"


def test_each_file_costs_itself(root: Path, tmp_path: Path) -> None:
    """A real agent delivers all the rest to a real aggregator, and what is lost is declared, record by record."""
    sids = {}
    for path in root.glob("*/samples-*"):
        if name := parse_name(path.name):
            sids[name.sid] = name.number
    with start_aggregator(tmp_path / "data") as running:
        flags = ("--push.insecure", "--push.target", running.grpc, "--push.interval", "1s", "--node-name", "n1")
        with start_agent(*flags, "--spool.dir", str(root), "--spool.max-bytes", "256MiB") as agent:

            def delivered() -> bool:
                agent.get("/metrics")
                told = {
                    one["number"]: one["committed"]
                    for one in running.node("n1").get("sessions", ())
                    if one["lane"] == "samples"
                }
                return all(told.get(number, 0) >= TICKS for number in range(1, len(SPOILED) + 2))

            until(delivered, 60)
            status = Path(f"/proc/{agent.process.pid}/status").read_text()
            assert int(status.split("VmHWM:")[1].split()[0]) << 10 < BYTES_MAX
            assert "level=error" not in agent.log()
    stored = {(sids[sid], seq) for sid, seq, _ in stored_of(tmp_path / "data") if sid in sids}
    whole = {(number, seq) for number in range(1, len(SPOILED) + 2) for seq in range(1, TICKS + 1)}
    assert stored == whole - lost()
    declared = set()
    for gap in declared_of(tmp_path / "data"):
        assert gap.reason == ("REJECTED" if list(SPOILED)[gap.first_number - 1] in REFUSED else "CORRUPT")
        key = Key(gap.place.spool_id, "samples", gap.first_number)
        declared |= {(key.number, seq) for seq in range(1, TICKS + 9) if covers(gap, key, seq)}
    assert lost() <= declared
    twice = list(SPOILED).index("a record twice") + 1
    assert declared - lost() <= {(twice, TICKS + 1)}, "a record that is there twice may have been another"


def test_an_export_has_all_the_rest(root: Path) -> None:
    """The same of ``spool export``: every other tick with its time, and as many missing as there are."""
    out = io.BytesIO()
    done = export.openmetrics(Disk(), str(root), out)
    values = [line.split()[1] for line in out.getvalue().decode().splitlines() if line.startswith("node_load1 ")]
    whole = {(number, seq) for number in range(1, len(SPOILED) + 2) for seq in range(1, TICKS + 1)}
    assert len(values) == done.rounds
    assert done.missing >= len(lost())
    assert done.rounds + done.backwards == len(whole - lost())


def test_the_spool_is_listed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its damage."""
    assert main(["spool", "ls", "--spool.dir", str(root)]) == 1
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    damaged = {int(row[2]) for row in rows if row[1] == "samples" and row[-1] != "-"}
    assert damaged == {number for number, seq in lost()} - {1 + list(SPOILED).index(name) for name in REFUSED}
