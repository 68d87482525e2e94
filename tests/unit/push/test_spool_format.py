"""Names and bytes of spool files, whatever was done to them."""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.push.held import LANES, File, Held, Key
from agent.push.spool_format import (
    FRAMES_WRONG_MAX,
    NUMBER_MAX,
    Name,
    header_base,
    is_record,
    last_of,
    least,
    pack_header,
    parse_directory,
    parse_name,
    records,
    scan,
    victims,
)
from agent.wire import ingest_pb2 as pb
from agent.wire.frame import MAGIC, Frame, frame, read_frame

SPOOL = bytes(range(16))
NAME = Name("samples", 3, b"s" * 16, 1000)
names = st.builds(
    Name,
    st.sampled_from(LANES),
    st.integers(1, NUMBER_MAX),
    st.binary(min_size=16, max_size=16),
    st.integers(1, NUMBER_MAX),
)


def body(seq: int, sid: bytes = NAME.sid) -> bytes:
    return pb.Record(sid=sid, seq=seq, body_bytes=9, body=b"%d" % seq * 40).SerializeToString()


HEAD = pack_header(SPOOL, NAME, 77)
BODIES = [body(seq) for seq in range(1000, 1040)]
FILE = HEAD + b"".join(map(frame, BODIES))
NEWER = frame(
    pb.Header(
        format=2,
        key=pb.Key(spool_id=SPOOL, lane=pb.LANE_SAMPLES, number=NAME.number),
        sid=NAME.sid,
        base=77,
        first=NAME.first,
    ).SerializeToString()
)
UNKNOWN = b"\xc2\x3e\x03abc"  # field 1000


def read(buf: bytes) -> list[bytes]:
    header = read_frame(buf, 0, 1 << 20)
    return [one.body for one in records(buf, NAME.sid, NAME.first, header.end)] if isinstance(header, Frame) else []


@given(names)
def test_a_name_says_all(name: Name) -> None:
    """What a file is called is what it is."""
    assert parse_name(str(name)) == name


@given(st.text() | st.from_regex(r"(samples|events)-\d+-[0-9a-f]{30,34}-[0-9a-f]{14,18}", fullmatch=True))
def test_any_text_is_a_name_or_none(text: str) -> None:
    """And a name is spelled in one way only."""
    name = parse_name(text)
    assert name is None or str(name) == text
    assert parse_directory(text) is None or len(text) == 32


@given(names, st.integers(0, NUMBER_MAX))
def test_a_header_is_of_its_file(name: Name, base: int) -> None:
    """It is taken for the file that is called so, in the directory that is called so, and for no other."""
    header = read_frame(pack_header(SPOOL, name, base), 0, 4096)
    assert isinstance(header, Frame)
    assert header_base(header.body, SPOOL, name) == base
    assert header_base(header.body, b"x" * 16, name) is None
    assert header_base(header.body, SPOOL, name._replace(first=name.first + 1)) is None
    assert header_base(header.body, SPOOL, name._replace(sid=b"y" * 16)) is None


@given(st.integers(1, NUMBER_MAX))
def test_a_record_is_told_by_its_first_bytes(seq: int) -> None:
    """As protobuf writes them."""
    assert is_record(body(seq), NAME.sid, seq)
    assert not is_record(body(seq), NAME.sid, seq + 1)
    assert not is_record(body(seq, b"t" * 16), NAME.sid, seq)


def test_a_whole_file() -> None:
    """Every record, and no damage."""
    assert scan(FILE, SPOOL, NAME) == (77, 1039, False, 1039)
    assert read(FILE) == BODIES


@pytest.mark.parametrize(
    ("buf", "found"),
    [
        (b"", (None, 999, False, 999)),
        (b"\0", (None, 999, True, 1000)),
        (HEAD, (77, 999, False, 999)),
        (HEAD[:-1], (None, 999, True, 1000)),
        (HEAD[:-1] + FILE[len(HEAD) :], (None, 999, True, 1039)),
        (NEWER + FILE[len(HEAD) :], (None, 999, True, 1039)),
        (HEAD + frame(body(1001)), (77, 999, True, 1001)),
        (HEAD + frame(body(1000)) + frame(body(1000)), (77, 1000, True, 1001)),
        (HEAD + frame(body(1000)) + b"\0" * 4096, (77, 1000, True, 1001)),
        (HEAD + frame(body(1000)) + b"hdr1" * 9 + frame(body(1005)) + frame(b"?"), (77, 1000, True, 1005)),
        (HEAD + frame(body(1000)) + frame(body(2**64 - 1)), (77, 1000, True, 1001)),
        (HEAD + frame(body(1000)) + frame(body(2**61)), (77, 1000, True, 1001)),
        (HEAD + frame(body(1000, b"x" * 16)), (77, 999, True, 1000)),
        (HEAD + HEAD, (77, 999, True, 1000)),
        (FILE[:-1], (77, 1038, True, 1039)),
    ],
)
def test_what_can_be_read(buf: bytes, found: tuple[int | None, int, bool, int]) -> None:
    """Base, damage, the last that can be read and the last that was there, of a file that is not as it should be."""
    assert scan(buf, SPOOL, NAME) == found


def damaged(chance: random.Random, data: bytes) -> bytes:
    """Truncated, a bit flipped, a page zeroed, bytes inserted, or a part of it twice."""
    at, length = chance.randrange(len(data)), chance.randrange(1, 600)
    how = chance.randrange(5)
    if how == 0:
        return data[:at]
    if how == 1:
        return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
    if how == 2:
        return data[:at] + bytes(len(data[at : at + length])) + data[at + length :]
    inserted = chance.randbytes(length) if how == 3 else data[at : at + length]
    return data[:at] + inserted + data[at:]


@pytest.mark.parametrize("seed", range(400))
def test_damage_never_gives_a_wrong_record(seed: int) -> None:
    """What is read is a front of what was written, and whatever follows is called damage."""
    chance = random.Random(seed)
    buf = damaged(chance, FILE)
    found, kept = scan(buf, SPOOL, NAME), read(buf)
    assert kept == BODIES[: len(kept)]
    if found.base is not None:
        assert found.readable == 999 + len(kept)
        whole = sum(len(frame(one)) for one in kept) + len(HEAD)
        assert found.damaged is (whole < len(buf))
    else:
        assert (found.readable, found.damaged) == (999, bool(buf))
    assert found.readable + found.damaged <= found.last <= 1040


def test_what_a_newer_version_adds_is_kept() -> None:
    """Fields that we do not know, in a header and in a record: both are taken, and the bytes are as they were."""
    header = read_frame(HEAD, 0, 4096)
    assert isinstance(header, Frame)
    buf = frame(header.body + UNKNOWN) + frame(body(1000) + UNKNOWN)
    assert scan(buf, SPOOL, NAME) == (77, 1000, False, 1000)
    assert read(buf) == [body(1000) + UNKNOWN]


def test_a_file_made_to_cost_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames that are none, each with a checksum over what follows: after some of them nothing more is looked for."""
    tries = 0

    def counted(*arguments: Any) -> Any:
        nonlocal tries
        tries += 1
        return read_frame(*arguments)

    monkeypatch.setattr("agent.push.spool_format.read_frame", counted)
    liar = struct.pack("<III", MAGIC, 1 << 10, 0)
    assert scan(HEAD + liar * 10_000, SPOOL, NAME) == (77, 999, True, 1000)
    assert tries <= FRAMES_WRONG_MAX + 2  # the header, and the first that is none


@given(st.binary(max_size=400))
def test_any_bytes_give_a_scan(data: bytes) -> None:
    """As a file, and behind a good header."""
    assert scan(data, SPOOL, NAME).readable == 999
    assert scan(HEAD + data, SPOOL, NAME) == (77, 999, bool(data), 999 + bool(data))


def held(lane: str, number: int, last: int, sealed: bool, *firsts: int) -> Held:
    key = Key(SPOOL, "events" if lane == "events" else "samples", number)
    return Held(key, b"s" * 16, 0, last, sealed, tuple(File(first, last, 10) for first in firsts))


def test_the_order_in_which_files_go() -> None:
    """Acked, samples, events; each the oldest first; and never what is written to."""
    sessions = [
        held("samples", 1, 30, True, 1, 11, 21),
        held("events", 1, 5, True, 1),
        held("samples", 2, 20, True, 1),
        held("events", 2, 9, False, 1, 6),
        held("samples", 3, 20, False, 1, 11),
    ]
    acked = {sessions[0].key: 20, sessions[3].key: 9}
    order = victims(sessions, lambda key: acked.get(key, 0))
    assert [(one.key.lane, one.key.number, one.file.first, one.last, one.acked) for one in order] == [
        ("samples", 1, 1, 10, True),
        ("samples", 1, 11, 20, True),
        ("events", 2, 1, 5, True),
        ("samples", 1, 21, 30, False),
        ("samples", 2, 1, 20, False),
        ("samples", 3, 1, 10, False),
        ("events", 1, 1, 5, False),
    ]
    assert last_of(sessions[0], 2) == 30


def test_the_least_session() -> None:
    """The fewest records that only we have: what is acked or gone from disk does not count; never the live one."""
    sessions = [held("samples", 1, 30, True, 25), held("samples", 2, 8, True, 1), held("samples", 3, 1, False, 1)]
    assert least(sessions, "samples", lambda key: 0) == sessions[0].key
    assert least(sessions, "samples", lambda key: 5 if key.number == 2 else 0) == sessions[1].key
    assert least(sessions[2:], "samples", lambda key: 0) is None
    assert least(sessions, "events", lambda key: 0) is None
