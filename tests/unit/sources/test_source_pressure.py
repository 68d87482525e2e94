"""``/proc/pressure``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Malformed
from agent.sources.pressure import Pressure, parse_pressure

SOME = b"some avg10=92.54 avg60=68.32 avg300=22.89 total=77814357\n"
FULL = b"full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
LIKE_PRESSURE = st.lists(st.sampled_from([b"some", b"full", b" avg10=0.00", b" total=", b"7", b"\n", b"\xff"]))


@pytest.mark.parametrize(
    ("buf", "pressure"),
    [
        (SOME + FULL, Pressure(77814357, 0)),
        (SOME, Pressure(77814357, None)),
        (FULL, Pressure(None, 0)),
        (SOME + b"most avg10=0.00 total=5\n", Pressure(77814357, None)),
    ],
)
def test_totals_are_read_and_a_missing_line_is_none(buf: bytes, pressure: Pressure) -> None:
    """Absent is not 0, 0 is not absent, and a kind of line that is not known yet does no harm."""
    assert parse_pressure(buf, "io") == pressure


@pytest.mark.parametrize(
    "buf", [b"", b"some\n", b"some avg10=0.00\n", b"some avg10=0.00 total=\n", SOME + b"full total=x\n"]
)
def test_what_has_no_total_is_malformed(buf: bytes) -> None:
    """The error names the resource."""
    with pytest.raises(Malformed, match="pressure/memory"):
        parse_pressure(buf, "memory")


@given(st.binary() | LIKE_PRESSURE.map(b"".join))
def test_any_bytes_give_a_struct_or_malformed(buf: bytes) -> None:
    """No other exception escapes."""
    try:
        assert isinstance(parse_pressure(buf, "io"), Pressure)
    except Malformed:
        pass
