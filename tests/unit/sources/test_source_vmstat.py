"""``/proc/vmstat``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Malformed
from agent.sources.vmstat import parse_vmstat

VMSTAT = b"nr_free_pages 1500\npgpgin 738005\noom_kill 0\npgfault 780075\n"
LIKE_VMSTAT = st.lists(st.sampled_from([b"pgfault", b"7", b" ", b"\n", b"-1", b"9a", b"\xff", b"\xc3\xa9"]))


def test_fields_are_numbers_in_the_kernels_order() -> None:
    """Zero included."""
    fields = {"nr_free_pages": 1500, "pgpgin": 738005, "oom_kill": 0, "pgfault": 780075}
    assert list(parse_vmstat(VMSTAT).items()) == list(fields.items())


def test_ignored_fields_are_left_out() -> None:
    """The others stay."""
    assert parse_vmstat(VMSTAT, {b"nr_free_pages", b"pgfault"}) == {"pgpgin": 738005, "oom_kill": 0}
    assert parse_vmstat(b"a 1\n", {b"a"}) == {}


@pytest.mark.parametrize(
    "buf", [b"", b"\n", b"pgpgin", b"pgpgin 1\npgfault", b"pgpgin many\n", b"pg{} 1\n", b"9a 1\n", b"\xc3\xa9 1\n"]
)
def test_what_is_not_names_and_numbers_is_malformed(buf: bytes) -> None:
    """Empty, truncated, no number, or a name that no metric can have."""
    with pytest.raises(Malformed):
        parse_vmstat(buf)


@given(st.binary() | LIKE_VMSTAT.map(b"".join))
def test_any_bytes_give_fields_or_malformed(buf: bytes) -> None:
    """No other exception escapes, and every name can be part of a metric's."""
    try:
        assert all(name.isascii() and name.isidentifier() for name in parse_vmstat(buf))
    except Malformed:
        pass
