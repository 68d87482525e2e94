"""A file that holds one number."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Gone, Malformed
from agent.sources.host import Host
from agent.sources.number import parse_number, read_number


@pytest.mark.parametrize(
    ("buf", "number"), [(b"256", 256), (b" 0\n", 0), (b"-1", -1), (b"18446744073709551615", 2**64 - 1)]
)
def test_a_number_is_read_with_blanks_around_it(buf: bytes, number: int) -> None:
    """Sign, blanks and 64 bits are all read."""
    assert parse_number(buf, "file") == number


@pytest.mark.parametrize("buf", [b"", b"\n", b"1.5", b"1 2", b"0x10", b"many", b"\xff"])
def test_anything_but_one_whole_number_is_malformed(buf: bytes) -> None:
    """The error names the file."""
    with pytest.raises(Malformed, match="some/file"):
        parse_number(buf, "some/file")


@given(st.binary() | st.text("0123456789 +-_").map(str.encode))
def test_any_bytes_give_a_number_or_malformed(buf: bytes) -> None:
    """No other exception escapes."""
    try:
        assert type(parse_number(buf, "file")) is int
    except Malformed:
        pass


def test_a_missing_file_is_gone(make_host: Callable[..., Host]) -> None:
    """Absent is not 0."""
    host = make_host({"sys/a": "7\n"})
    assert read_number(host.sysfs, "a") == 7
    with pytest.raises(Gone):
        read_number(host.sysfs, "b")
