"""What lies in a spool file: ``u32 magic | u32 length | u32 crc32(body) | body``, little endian.

Reading never raises, whatever the bytes: a frame, where it is damaged, or the clean end.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final, NamedTuple

MAGIC: Final = int.from_bytes(b"hdr1", "little")
_HEAD: Final = struct.Struct("<III")
HEAD_BYTES: Final = _HEAD.size


class Frame(NamedTuple):
    """``end`` is where the next one begins."""

    end: int
    body: bytes


class Damage(NamedTuple):
    """From ``offset`` on this file cannot be read."""

    offset: int
    why: str


def frame(body: bytes) -> bytes:
    return _HEAD.pack(MAGIC, len(body), zlib.crc32(body)) + body


def read_frame(buf: bytes | memoryview, offset: int, most: int) -> Frame | Damage | None:
    """The frame that begins there, if its body has at most ``most`` bytes; None at the clean end."""
    if offset == len(buf):
        return None
    start = offset + HEAD_BYTES
    if offset < 0 or start > len(buf):
        return Damage(offset, "no whole head")
    magic, length, crc32 = _HEAD.unpack_from(buf, offset)
    if magic != MAGIC:
        return Damage(offset, "no frame begins here")
    if length > most:
        return Damage(offset, "longer than any")
    if start + length > len(buf):
        return Damage(offset, "no whole body")
    body = bytes(buf[start : start + length])
    return Frame(start + length, body) if zlib.crc32(body) == crc32 else Damage(offset, "its checksum is another")
