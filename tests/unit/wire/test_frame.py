"""Frames of a spool file."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.wire.frame import HEAD_BYTES, MAGIC, Damage, Frame, frame, read_frame

MOST = 1000


@given(st.lists(st.binary(max_size=MOST), max_size=5))
def test_frames_come_back(bodies: list[bytes]) -> None:
    """One after the other, to the clean end."""
    buf, offset, found = b"".join(map(frame, bodies)), 0, []
    while (one := read_frame(buf, offset, MOST)) is not None:
        assert isinstance(one, Frame)
        found.append(one.body)
        offset = one.end
    assert found == bodies


@given(st.binary(max_size=200), st.integers(-5, 220))
def test_any_bytes_give_an_answer(buf: bytes, offset: int) -> None:
    """Nothing raises, wherever one looks."""
    found = read_frame(buf, offset, MOST)
    assert found is None or isinstance(found, Damage) or found.end <= len(buf)


@given(st.binary(min_size=1, max_size=50), st.data())
def test_a_flipped_bit_is_seen(body: bytes, data: st.DataObject) -> None:
    """In head or body, any single one; so is a missing end."""
    good = frame(body)
    bit = data.draw(st.integers(0, 8 * len(good) - 1))
    bad = bytearray(good)
    bad[bit // 8] ^= 1 << bit % 8
    assert isinstance(read_frame(bytes(bad), 0, MOST), Damage)
    assert isinstance(read_frame(memoryview(good)[: data.draw(st.integers(1, len(good) - 1))], 0, MOST), Damage)


@pytest.mark.parametrize("length", [MOST + 1, 0xFFFFFFFF])
def test_a_length_that_lies_is_not_believed(length: int) -> None:
    """Longer than any frame may be, or than the file is."""
    assert isinstance(read_frame(struct.pack("<III", MAGIC, length, 0) + bytes(2000), 0, MOST), Damage)
    assert isinstance(read_frame(frame(bytes(length if length < 2000 else 2000)), 0, MOST), Damage)
    assert len(frame(b"")) == HEAD_BYTES
