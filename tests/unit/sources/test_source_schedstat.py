"""``/proc/schedstat``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Malformed
from agent.sources.schedstat import CpuSchedule, parse_schedstat

SCHEDSTAT = b"""\
version 15
timestamp 15819019232
cpu0 498494191 0 3533438552 2553969831 3853684107 2465731542 2045936778163039 343796328169361 4767485306
domain0 00000000,00000003 212499247 210112015 1861015 1860405436 536440
cpu12 518377256 0 4155211005 2778589869 10466382 2867629021 1904686152592476 0 5145567945
"""
LIKE_SCHEDSTAT = st.lists(st.sampled_from([b"cpu0", b"cpu", b"domain0", b" ", b"\n", b"1 2 3", b"7", b"\xff"]))


def test_each_cpu_has_its_last_three_numbers() -> None:
    """Domains are passed over; 0 is a number."""
    assert parse_schedstat(SCHEDSTAT) == {
        "0": CpuSchedule(2045936778163039, 343796328169361, 4767485306),
        "12": CpuSchedule(1904686152592476, 0, 5145567945),
    }


@pytest.mark.parametrize(
    "buf", [b"", b"version 15\n", b"cpu0 1 2 3 4 5 6 7 8\n", b"cpu0 1 2 3 4 5 6 7 8 x\n", b"cpux 1 2 3 4 5 6 7 8 9\n"]
)
def test_lines_that_are_not_as_documented_are_malformed(buf: bytes) -> None:
    """No CPU, truncated, or not numbers."""
    with pytest.raises(Malformed):
        parse_schedstat(buf)


@given(st.binary() | LIKE_SCHEDSTAT.map(b"".join))
def test_any_bytes_give_cpus_or_malformed(buf: bytes) -> None:
    """No other exception escapes."""
    try:
        assert parse_schedstat(buf)
    except Malformed:
        pass
