"""``/proc/sys/fs/file-nr``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Malformed
from agent.sources.filefd import FileHandles, parse_file_nr


def test_the_first_and_the_last_number_count() -> None:
    """The largest maximum that kernels set by default is kept exactly."""
    assert parse_file_nr(b"1152\t0\t9223372036854775807\n") == FileHandles(1152, 9223372036854775807)


@pytest.mark.parametrize("buf", [b"", b"1152", b"1152\t0", b"1152\t0\tmany", b"1\t2\t3\t4", b"\xff\t0\t1"])
def test_anything_but_three_numbers_is_malformed(buf: bytes) -> None:
    """Truncated, garbage, or too many."""
    with pytest.raises(Malformed, match="file-nr"):
        parse_file_nr(buf)


@given(st.binary() | st.text("0123456789\t \n").map(str.encode))
def test_any_bytes_give_a_struct_or_malformed(buf: bytes) -> None:
    """No other exception escapes."""
    try:
        assert isinstance(parse_file_nr(buf), FileHandles)
    except Malformed:
        pass
