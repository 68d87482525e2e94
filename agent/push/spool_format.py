"""What a spool file is called and how it reads, and which file goes first when there is no room. Pure.

A file is ``frame(Header)`` and then ``frame(Record)``..., numbered on from the ``first`` of its name. A record is taken
only where its checksum holds and its session and number are those that belong there. The first that is not ends what
can be read; whatever follows counts as one record (R12), or as many as the numbers in it say. The header's schema is
empty: all slots come with the first record, which is compressed. A file with another name is none of ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, cast

from google.protobuf.message import DecodeError

from agent.push.held import LANES, File, Held, Key, Lane
from agent.wire import ingest_pb2 as pb
from agent.wire.frame import HEAD_BYTES, MAGIC, Frame, frame, read_frame

FORMAT: Final = 1
RECORD_BYTES_MAX: Final = 4 << 20
NUMBER_MAX: Final = 1 << 62  # of sessions and records; what is beyond was not made by us
LANE_NUMBERS: Final[dict[Lane, pb.Lane]] = {"samples": pb.LANE_SAMPLES, "events": pb.LANE_EVENTS}
FRAMES_WRONG_MAX: Final = 64  # each costs a checksum of up to the size of the file
_MAGIC: Final = MAGIC.to_bytes(4, "little")
_NAME: Final = re.compile(r"(events|samples)-([1-9]\d{0,18})-([0-9a-f]{32})-([0-9a-f]{16})", re.ASCII)
_DIRECTORY: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)


class Name(NamedTuple):
    """All that is known of a file without reading it."""

    lane: Lane
    number: int
    sid: bytes
    first: int

    def __str__(self) -> str:
        return f"{self.lane}-{self.number}-{self.sid.hex()}-{self.first:016x}"


def parse_name(text: str) -> Name | None:
    match = _NAME.fullmatch(text)
    if match is None:
        return None
    lane, number, first = cast(Lane, match[1]), int(match[2]), int(match[4], 16)
    if number > NUMBER_MAX or not 1 <= first <= NUMBER_MAX:
        return None
    return Name(lane, number, bytes.fromhex(match[3]), first)


def parse_directory(text: str) -> bytes | None:
    """The spool_id that a directory's name says."""
    return bytes.fromhex(text) if _DIRECTORY.fullmatch(text) else None


def pack_header(spool_id: bytes, name: Name, base: int) -> bytes:
    """The first frame of a file."""
    key = pb.Key(spool_id=spool_id, lane=LANE_NUMBERS[name.lane], number=name.number)
    return frame(
        pb.Header(format=FORMAT, key=key, sid=name.sid, base=base, first=name.first).SerializeToString(
            deterministic=True
        )
    )


def header_base(body: bytes, spool_id: bytes, name: Name) -> int | None:
    """``base`` of a serialized Header; None when it is not the header of this file."""
    try:
        header = pb.Header.FromString(body)
    except DecodeError:
        return None
    key = header.key
    said = (header.format, key.spool_id, key.lane, key.number, header.sid, header.first)
    right = (FORMAT, spool_id, LANE_NUMBERS[name.lane], name.number, name.sid, name.first)
    return header.base if said == right and header.base <= NUMBER_MAX else None


def is_record(body: bytes, sid: bytes, seq: int) -> bool:
    """Whether a serialized Record is that one: its first two fields, as every writer of ours puts them."""
    return body.startswith(b"\x0a\x10" + sid + b"\x10" + _varint(seq))


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def records(buf: bytes, sid: bytes, seq: int, offset: int) -> Iterator[Frame]:
    """Those from ``seq`` on that can be read."""
    while isinstance(found := read_frame(buf, offset, RECORD_BYTES_MAX), Frame) and is_record(found.body, sid, seq):
        yield found
        seq, offset = seq + 1, found.end


class Scan(NamedTuple):
    """``base`` is None where the header cannot be read; ``readable`` and ``damaged`` are those of a File; ``last`` is
    the highest record of which there is any sign."""

    base: int | None
    readable: int
    damaged: bool
    last: int


def scan(buf: bytes, spool_id: bytes, name: Name) -> Scan:
    """Reads a whole file. Any bytes give a Scan."""
    header = read_frame(buf, 0, RECORD_BYTES_MAX)
    base = header_base(header.body, spool_id, name) if isinstance(header, Frame) else None
    readable, end = name.first - 1, 0
    if base is not None and isinstance(header, Frame):
        end = header.end
        for readable, found in enumerate(records(buf, name.sid, name.first, header.end), name.first):  # noqa: B007
            end = found.end
    damaged = end < len(buf)
    possible = name.first + len(buf) // HEAD_BYTES
    last = max(one for one in (readable + damaged, *_numbers_behind(buf, name.sid, end)) if one <= possible)
    return Scan(base, readable, damaged, last)


def _numbers_behind(buf: bytes, sid: bytes, offset: int) -> Iterator[int]:
    """Of whole records behind damage: none of them can be sent, but their loss is counted."""
    wrong = 0
    while wrong < FRAMES_WRONG_MAX and (offset := buf.find(_MAGIC, offset)) >= 0:
        found = read_frame(buf, offset, RECORD_BYTES_MAX)
        if isinstance(found, Frame):
            yield _number(found.body, sid)
        wrong += not isinstance(found, Frame)
        offset = found.end if isinstance(found, Frame) else offset + 1


def _number(body: bytes, sid: bytes) -> int:
    """Of a serialized Record of that session; 0 where it is none."""
    try:
        record = pb.Record.FromString(body)
    except DecodeError:
        return 0
    return record.seq if record.sid == sid else 0


# What goes first when there is no room.


class Victim(NamedTuple):
    """A file to delete. ``acked``: nothing is lost by it."""

    key: Key
    file: File
    last: int
    acked: bool


def last_of(held: Held, index: int) -> int:
    """The last record that belongs into a file, whether or not it is there."""
    return held.files[index + 1].first - 1 if index + 1 < len(held.files) else held.last


def victims(sessions: Sequence[Held], acked: Callable[[Key], int]) -> list[Victim]:
    """Every file that may be deleted, first what is acked, then samples, then events, each the oldest first (R9).

    ``sessions`` are in the order of their age. The live sessions' current files are not among them.
    """
    found = [
        Victim(one.key, file, last_of(one, index), last_of(one, index) <= acked(one.key))
        for one in sessions
        for index, file in enumerate(one.files)
        if one.sealed or index + 1 < len(one.files)
    ]
    return sorted(found, key=lambda victim: (not victim.acked, victim.key.lane == "events"))


def least(sessions: Sequence[Held], lane: Lane, acked: Callable[[Key], int]) -> Key | None:
    """The lane's sealed session with the fewest records that only we have: the first to go for a new one (R10)."""
    sealed = [one for one in sessions if one.key.lane == lane and one.sealed]
    fewest = min(sealed, key=lambda one: one.last - max(acked(one.key), one.first - 1), default=None)
    return fewest.key if fewest else None


assert set(LANE_NUMBERS) == set(LANES)
