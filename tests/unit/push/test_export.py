"""Spools taken out: compared with what was put in, sample for sample."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
from itertools import groupby
from pathlib import Path

import pytest

from agent.cli import main
from agent.eviction.journal import Event
from agent.exposition.render import Renderer
from agent.model import Block, Family
from agent.push import export
from agent.push.disk import Disk
from agent.push.spool import Limits, Place, Spool
from agent.spool_command import HEAD
from agent.wire.encoder import Encoder
from agent.wire.events import body_of
from agent.wire.record import pack
from tests.tools import peers
from tests.unit.push.spooling import EVENTS, SAMPLES, live

LOAD = Family("node_load1", "gauge", "1m load average.")
CPU = Family("node_cpu_seconds_total", "counter", "Seconds.", ("cpu", "mode"))
ODD = Family("headroom_odd", "untyped", 'A "HELP" with \\ and\nnewline.', ("name",))
WAITED = Family("headroom_waited_seconds", "histogram", "Waited.", ("path",))
KEYS = tuple((str(cpu), mode) for cpu in range(4) for mode in ("user", "idle"))
T0 = 1_700_000_000_000


def event(number: int) -> Event:
    detail = f'"{number}"'
    return Event(
        T0 / 1000 + number, "signal", "crossed", "nodefs.available", detail, number * 1.5, None, "bytes", (("a", "b"),)
    )


def blocks(number: int) -> tuple[Block, ...]:
    slots = (("_bucket", "1.0"), ("_bucket", "+Inf"), ("_sum", ""), ("_count", ""))
    bounded = tuple((suffix, bound, "/") for suffix, bound in slots)
    return (
        Block(LOAD, ((),), (number / 7,)),
        Block(CPU, KEYS[: 2 + 2 * (number % 4)], [number * 0.25 + i for i in range(2 + 2 * (number % 4))]),
        *([Block(ODD, (('q"\\\n',),), (float("nan") if number % 3 else float("inf"),))] if number % 2 else []),
        Block(WAITED, bounded, (number, number + 1, number * 0.5, number + 1)),
    )


class Writer:
    """Encodes as the sink does."""

    def __init__(self, root: Path, limits: Limits) -> None:
        self.spool = Spool(str(root), limits)
        self._encoder = Encoder()

    def tick(self, number: int, unix_ms: int | None = None) -> None:
        def make(place: Place) -> bytes:
            if place.begins:
                self._encoder.begin(())
            body = self._encoder.tick(blocks(number), T0 + number * 1000 if unix_ms is None else unix_ms, number)
            return pack(place.sid, place.seq, body)

        assert self.spool.append(SAMPLES, make)

    def event(self, number: int) -> None:
        assert self.spool.append(EVENTS, lambda place: pack(place.sid, place.seq, body_of([event(number)], 0)))


def expected(numbers: range) -> list[str]:
    """The lines of these ticks, with their times."""
    return [
        f"{line} {T0 // 1000 + number}.000"
        for number in numbers
        for line in Renderer().render(blocks(number), "text").decode().splitlines()
        if not line.startswith("#")
    ]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three processes' spools: 90 ticks and 9 events."""
    for start in (0, 30, 60):
        writer = Writer(tmp_path / "spool", Limits(file_bytes=900))
        for number in range(start, start + 30):
            writer.tick(number)
            if number % 10 == 0:
                writer.event(number)
        writer.spool.close()
    return tmp_path / "spool"


def test_a_session_spans_its_first_and_last_record(tmp_path: Path) -> None:
    """By the agent's wall clock, whichever of them are keyframes; one that was set back too."""
    writer = Writer(tmp_path / "spool", Limits())
    for number, unix_ms in enumerate((T0, T0 + 5_000, T0 - 60_000, T0 + 20_000)):
        writer.tick(number, unix_ms)
    writer.spool.close()
    (held,) = [one for one in export.spools(Disk(), str(tmp_path / "spool")) if one.key.lane == SAMPLES]
    assert export.span_ms(Disk(), str(tmp_path / "spool"), held) == (T0, T0 + 20_000)


def exported(root: Path) -> tuple[export.Exported, list[str]]:
    out = io.BytesIO()
    done = export.openmetrics(Disk(), str(root), out)
    return done, out.getvalue().decode().splitlines()


def samples(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith("#")]


def test_every_sample_comes_out_with_its_time(root: Path) -> None:
    """As often as it was put in, families in one piece, their times rising."""
    done, lines = exported(root)
    assert sorted(samples(lines)) == sorted(expected(range(90)))
    assert done == (len(samples(lines)), 90, 0, 0)
    assert lines[-1] == "# EOF"
    families = [re.split(r"[{ ]", line)[0] for line in samples(lines)]
    families = [re.sub("_(bucket|sum|count)$", "", name) for name in families]
    assert len(list(groupby(families))) == len(set(families)) == 4
    for name in ("node_load1", "headroom_odd"):
        times = [float(line.rsplit(" ", 1)[1]) for line in samples(lines) if line.startswith(name)]
        assert times == sorted(set(times))


def test_more_than_fits_in_memory_is_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The buffer's size is not seen."""
    whole = exported(root)
    monkeypatch.setattr(export, "BUFFER_BYTES", 100)
    assert exported(root) == whole


@pytest.mark.needs("promtool")
def test_promtool_takes_it(root: Path, tmp_path: Path) -> None:
    """Blocks of a database, with as many samples; gaps do not disturb it."""
    next(iter(sorted(root.rglob("samples-2-*"))[1:])).unlink()
    target = tmp_path / "out.om"
    assert main(["spool", "export", "--spool.dir", str(root), "--openmetrics", str(target)]) == 1
    command = [
        str(peers.path("promtool")),
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        str(target),
        str(tmp_path / "db"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    counted = [int(line.split()[4]) for line in done.stdout.splitlines()[1:] if line]
    assert sum(counted) == len(samples(target.read_text().splitlines()))


def test_what_is_missing_is_told(root: Path) -> None:
    """A file that is gone, one that is damaged, a session that is gone: each with its records; the rest is there."""
    files = sorted(root.rglob("samples-2-*"))
    firsts = [int(file.name[-16:], 16) for file in files]
    files[1].unlink()
    data = bytearray(files[2].read_bytes())
    data[-5] ^= 1
    files[2].write_bytes(data)
    for file in root.rglob("samples-1-*"):
        file.unlink()
    done, lines = exported(root)
    gap = r'_missing_records\{spool="\w{32}",lane="samples",session="(\d)",first="(\d+)",last="(\d+)"\} (\d+)'
    found = [tuple(map(int, one)) for one in re.findall(gap, "\n".join(lines))]
    lost = [(2, firsts[1], firsts[2] - 1, firsts[2] - firsts[1]), (2, firsts[3] - 1, firsts[3] - 1, 1)]
    assert found == [(1, 1, 30, 30), *lost]
    assert done.missing == sum(one[3] for one in found)
    assert done.rounds == 90 - done.missing


def test_a_clock_that_stepped_back(tmp_path: Path) -> None:
    """No time twice: a database would refuse all that follows."""
    writer = Writer(tmp_path, Limits())
    for number, unix_ms in enumerate((T0, T0 + 5000, T0 + 5000, T0 + 3000, T0 + 9000)):
        writer.tick(number, unix_ms)
    writer.spool.close()
    done, _ = exported(tmp_path)
    assert (done.rounds, done.backwards) == (3, 2)


def test_two_spools_are_merged_by_time(tmp_path: Path) -> None:
    """Two processes took turns; their times rise in every family."""
    writers = [Writer(tmp_path, Limits()), Writer(tmp_path, Limits())]
    for number in range(20):
        writers[number % 2].tick(number)
    for writer in writers:
        writer.spool.close()
    done, lines = exported(tmp_path)
    assert done.rounds == 20
    assert [line for line in samples(lines) if line.startswith("node_load1")] == [
        line for line in expected(range(20)) if line.startswith("node_load1")
    ]


def test_events_are_lines_of_json(root: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Every field that was set; and what is missing."""
    next(iter(root.rglob("events-1-*"))).unlink()
    assert main(["spool", "export", "--spool.dir", str(root), "--events", "-"]) == 0
    told = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert told[0] == {"missing_records": 3, "session": 1}
    assert [one["unix_ms"] for one in told[1:]] == [T0 + number * 1000 for number in (30, 40, 50, 60, 70, 80)]
    assert told[1] == {
        "unix_ms": T0 + 30_000,
        "boot_ms": T0 + 30_000,
        "type": "signal",
        "state": "crossed",
        "subject": "nodefs.available",
        "detail": '"30"',
        "observed": 45.0,
        "unit": "bytes",
        "attributes": {"a": "b"},
    }


def test_plain_files(root: Path, tmp_path: Path) -> None:
    """A copy is a spool."""
    assert main(["spool", "export", str(tmp_path / "copy"), "--spool.dir", str(root)]) == 0
    assert exported(tmp_path / "copy") == exported(root)


def test_a_tar_of_the_files(root: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Through a pipe, as kubectl exec gives one: unpacked, it is the spool, and exports the same samples."""
    assert main(["spool", "export", "-", "--spool.dir", str(root)]) == 0
    said = capfdbinary.readouterr()
    with tarfile.open(fileobj=io.BytesIO(said.out), mode="r|") as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        tar.extractall(tmp_path / "out")
    before, after = io.BytesIO(), io.BytesIO()
    assert export.openmetrics(Disk(), str(tmp_path / "out"), after) == export.openmetrics(Disk(), str(root), before)
    assert after.getvalue() == before.getvalue() != b""
    assert said.err.endswith(b" files\n")


def test_ls(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line per session, the live ones among them, and damage."""
    path = sorted(root.rglob("samples-1-*"))[0]
    path.write_bytes(path.read_bytes()[:-3])
    writer = Writer(root, Limits(file_bytes=900))
    assert main(["spool", "ls", "--spool.dir", str(root)]) == 1
    head, *rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert head == list(HEAD)
    assert [(row[1], row[2], row[4], row[5], row[9], row[10]) for row in rows] == [
        ("events", "1", "3", "1..3", "sealed", "-"),
        ("events", "2", "3", "1..3", "sealed", "-"),
        ("events", "3", "3", "1..3", "sealed", "-"),
        ("events", "4", "0", "-", "live", "-"),
        ("samples", "1", "29", "1..30", "sealed", "1"),
        ("samples", "2", "30", "1..30", "sealed", "-"),
        ("samples", "3", "30", "1..30", "sealed", "-"),
        ("samples", "4", "0", "-", "live", "-"),
    ]
    assert rows[1][6:8] == ["2023-11-14T22:13:50Z", "2023-11-14T22:14:10Z"]
    assert live(writer.spool).key.number == 4, "whoever looks disturbs nobody"
    writer.spool.close()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["ls"], 2, "--spool.dir"),
        (["ls", "--spool.dir", "/nowhere"], 1, "/nowhere"),
        (["export", "--spool.dir", "/nowhere"], 2, "expected ls"),
        (["rm", "--spool.dir", "/nowhere"], 2, "expected ls"),
        (["--spool.dir", "/nowhere"], 2, "expected ls"),
    ],
)
def test_mistakes(arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line each."""
    assert main(["spool", *arguments]) == code
    assert said in capsys.readouterr().err
