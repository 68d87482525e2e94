"""What spools hold, for who has no aggregator: every sample with its time, every event, and what is missing.

OpenMetrics wants a family in one piece, a spool has it tick by tick: so texts are put aside by family, in memory up to
a bound and then in temporary files, and copied out one after the other. Reads beside a running agent; changes nothing.
"""

from __future__ import annotations

import heapq
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import IO, Final, NamedTuple

from agent.errors import ProtocolError
from agent.exposition.render import Renderer
from agent.model import Block, Family
from agent.push.disk import Disk
from agent.push.held import Held, Key, Lane
from agent.push.reader import Reader, survey
from agent.push.spool_format import Name, last_of, parse_directory
from agent.wire import ingest_pb2 as pb
from agent.wire.decoder import Decoder
from agent.wire.events import Told, events_of
from agent.wire.record import unpack

BUFFER_BYTES: Final = 16 << 20
MISSING = Family(
    "headroom_spool_missing_records",
    "gauge",
    "Records that are not in the spool any more or cannot be read, at the time of the last before them.",
    ("spool", "lane", "session", "first", "last"),
)


class Gap(NamedTuple):
    """Records ``first`` to ``last`` of a session are not there."""

    key: Key
    first: int
    last: int


class Round(NamedTuple):
    """One tick."""

    unix_ms: int
    blocks: tuple[Block, ...]


def spools(disk: Disk, root: str, whole: bool = False) -> list[Held]:
    """Every session below ``root``, the live ones unsealed. Raises OSError."""
    found: list[Held] = []
    for spool_id in filter(None, map(parse_directory, disk.names(root))):
        directory = os.path.join(root, spool_id.hex())
        sessions = survey(disk, directory, spool_id, whole).sessions
        lock = disk.lock(directory)
        if lock is not None:
            disk.close(lock)
        newest = {one.key.lane: one.key for one in sessions} if lock is None else {}
        found += [one._replace(sealed=one.key != newest.get(one.key.lane)) for one in sessions]
    return found


class Found(NamedTuple):
    """A record. ``begins``: it is the first of a file."""

    key: Key
    seq: int
    begins: bool
    body: pb.Body


def records(disk: Disk, root: str, sessions: list[Held]) -> Iterator[Found | Gap]:
    """Of these sessions in turn: each record, and what is missing in its place."""
    reader = Reader(disk)
    counted: dict[tuple[bytes, Lane], int] = {}
    for held in sessions:
        vanished = held.base - counted.get(held.key[:2], 0)
        if vanished > 0:  # of one session, or more, that is gone
            yield Gap(held.key._replace(number=held.key.number - 1), 1, vanished)
        counted[held.key[:2]] = held.base + held.last
        expected = 1
        for found in _session(reader, root, held):
            if found.seq > expected:
                yield Gap(held.key, expected, found.seq - 1)
            yield found
            expected = found.seq + 1
        if expected <= held.last:
            yield Gap(held.key, expected, held.last)
        reader.leave(held.key)


def _session(reader: Reader, root: str, held: Held) -> Iterator[Found]:
    directory = os.path.join(root, held.key.spool_id.hex())
    for index, file in enumerate(held.files):
        name = Name(held.key.lane, held.key.number, held.sid, file.first)
        for seq in range(file.first, last_of(held, index) + 1):
            data = reader.record(directory, held.key, name, seq)
            if isinstance(data, int):
                break
            try:
                yield Found(held.key, seq, seq == file.first, unpack(data).body)
            except ProtocolError:
                break


def rounds(disk: Disk, root: str, sessions: list[Held]) -> Iterator[Round | Gap]:
    """Every tick of the samples lane. What follows in a file on one that cannot be decoded is missing."""
    decoder: Decoder | None = None
    for found in records(disk, root, sessions):
        if isinstance(found, Gap):
            yield found
            continue
        decoder = Decoder(pb.Schema()) if found.begins else decoder
        try:
            if decoder:
                decoder.apply(found.body)
        except ProtocolError:
            decoder = None
        yield Round(decoder.unix_ms, decoder.blocks()) if decoder else Gap(found.key, found.seq, found.seq)


class Exported(NamedTuple):
    """``backwards``: ticks left out because the clock had been there before."""

    samples: int
    rounds: int
    missing: int
    backwards: int


def openmetrics(disk: Disk, root: str, out: IO[bytes]) -> Exported:
    """Every sample, family by family, with times that rise: for ``promtool tsdb create-blocks-from openmetrics``."""
    sessions = [one for one in spools(disk, root) if one.key.lane == "samples"]
    with tempfile.TemporaryDirectory(prefix="headroom-export-") as directory:
        families = _Families(directory)
        done = _collect(disk, root, sessions, families)
        families.write(out)
    return done


def _collect(disk: Disk, root: str, sessions: list[Held], families: _Families) -> Exported:
    by_spool: dict[bytes, list[Held]] = {}
    for one in sessions:
        by_spool.setdefault(one.key.spool_id, []).append(one)
    streams = [_timed(rounds(disk, root, group)) for group in by_spool.values()]
    samples = taken = missing = backwards = 0
    before_ms = -1
    for unix_ms, found in heapq.merge(*streams, key=lambda pair: pair[0]):
        if isinstance(found, Gap):
            missing += found.last - found.first + 1
            if unix_ms > 0:
                families.add(unix_ms, (_missing(found),))
        elif unix_ms <= before_ms:
            backwards += 1
        else:
            samples += families.add(unix_ms, found.blocks)
            taken, before_ms = taken + 1, unix_ms
    return Exported(samples, taken, missing, backwards)


def _timed(found: Iterator[Round | Gap]) -> Iterator[tuple[int, Round | Gap]]:
    """A gap has the time of the tick before it; at the start, of the one after."""
    unix_ms: int | None = None
    early: list[Gap] = []
    for one in found:
        if isinstance(one, Round):
            unix_ms = one.unix_ms
            yield from ((unix_ms, gap) for gap in early)
            early = []
            yield unix_ms, one
        elif unix_ms is None:
            early.append(one)
        else:
            yield unix_ms, one
    yield from ((0, gap) for gap in early)


def _missing(gap: Gap) -> Block:
    key = (gap.key.spool_id.hex(), gap.key.lane, str(gap.key.number), str(gap.first), str(gap.last))
    return Block(MISSING, (key,), (gap.last - gap.first + 1,))


class _Families:
    """Texts by family, in the order in which families came."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._renderer = Renderer()
        self._numbers: dict[str, int] = {}
        self._headers: list[bytes] = []
        self._texts: dict[int, list[bytes]] = {}
        self._size_bytes = 0

    def add(self, unix_ms: int, blocks: tuple[Block, ...]) -> int:
        """How many samples these are."""
        stamp = b" %d.%03d\n" % divmod(unix_ms, 1000)
        count = 0
        for block in blocks:
            _, _, *lines, _ = self._renderer.render((block,), "text").split(b"\n")
            text = stamp.join([*lines, b""])
            self._texts.setdefault(self._number(block), []).append(text)
            self._size_bytes += len(text)
            count += len(lines)
        if self._size_bytes > BUFFER_BYTES:
            self._put_aside()
        return count

    def _number(self, block: Block) -> int:
        number = self._numbers.setdefault(block.family.name, len(self._numbers))
        if number == len(self._headers):
            head = self._renderer.render((block,), "openmetrics").split(b"\n", 2)
            self._headers.append(b"\n".join([*head[:2], b""]))
        return number

    def _put_aside(self) -> None:
        for number, texts in self._texts.items():
            with open(self._path(number), "ab") as file:
                file.writelines(texts)
        self._texts, self._size_bytes = {}, 0

    def write(self, out: IO[bytes]) -> None:
        self._put_aside()
        for number, header in enumerate(self._headers):
            out.write(header)
            with open(self._path(number), "rb") as file:
                shutil.copyfileobj(file, out)
        out.write(b"# EOF\n")

    def _path(self, number: int) -> str:
        return os.path.join(self._directory, str(number))


def events(disk: Disk, root: str, out: IO[bytes]) -> int:
    """Every event as a line of JSON, and where some are missing how many. Returns how many events."""
    sessions = [one for one in spools(disk, root) if one.key.lane == "events"]
    count = 0
    for found in records(disk, root, sessions):
        if isinstance(found, Gap):
            told: dict[str, object] = {"missing_records": found.last - found.first + 1, "session": found.key.number}
            out.write(json.dumps(told).encode() + b"\n")
            continue
        try:
            said = events_of(found.body)
        except ProtocolError:
            said = ()
        for event in said:
            out.write(json.dumps(_plain(event)).encode() + b"\n")
            count += 1
    return count


def _plain(event: Told) -> dict[str, object]:
    said = {**event._asdict(), "attributes": dict(event.attributes)}
    return {name: value for name, value in said.items() if value is not None}


def copy(disk: Disk, root: str, target: str) -> int:
    """The files as they are, below ``target``. Returns how many. Raises OSError."""
    count = 0
    for held in spools(disk, root):
        directory = held.key.spool_id.hex()
        disk.make_directory(os.path.join(target, directory))
        for file in held.files:
            name = str(Name(held.key.lane, held.key.number, held.sid, file.first))
            shutil.copyfile(os.path.join(root, directory, name), os.path.join(target, directory, name))
            count += 1
    return count


def archive(disk: Disk, root: str, out: IO[bytes]) -> int:
    """The same as a stream of tar, for where only a pipe leads out: what is appended meanwhile is left out. Returns how
    many files. Raises OSError."""
    import tarfile  # only here

    count = 0
    with tarfile.open(fileobj=out, mode="w|") as tar:
        for held in spools(disk, root):
            directory = held.key.spool_id.hex()
            for file in held.files:
                name = str(Name(held.key.lane, held.key.number, held.sid, file.first))
                with open(os.path.join(root, directory, name), "rb") as content:
                    tar.addfile(tar.gettarinfo(arcname=f"{directory}/{name}", fileobj=content), content)
                count += 1
    return count


def span_ms(disk: Disk, root: str, held: Held) -> tuple[int, int] | None:
    """Wall clock of the first and the last record; None when none can be read."""
    ends = held._replace(base=0, files=tuple(dict.fromkeys((*held.files[:1], *held.files[-1:]))))
    times = [_unix_ms(one.body) for one in records(disk, root, [ends]) if isinstance(one, Found)]
    return (times[0], times[-1]) if times else None


def _unix_ms(body: pb.Body) -> int:
    return body.tick.unix_ms if body.HasField("tick") else max((event.unix_ms for event in body.events), default=0)
