"""``/proc/stat``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Malformed
from agent.sources.stat import CpuTicks, Stat, parse_cpu_ticks, parse_stat

STAT = b"""\
cpu  3327 0 2377 472992 1478 0 34 22 0 0
cpu0 741 1 837 238399 32 2 6 7 3 4
cpu10 2586 0 1540 234592 1445 0 27 14 0 0
intr 188910 0 12 0 481
ctxt 358752
btime 1795224820
processes 6341
procs_running 3
procs_blocked 0
softirq 149803 0 29756 4 3748 38291 0 2 49075 0 28927
"""
SOFTIRQ_LINE = b"softirq 149803 0 29756 4 3748 38291 0 2 49075 0 28927\n"
LIKE_STAT = st.lists(st.sampled_from([*STAT.replace(b"\n", b" \n ").split(b" "), b"", b"x", b"\xff", b"cpu", b"cpu-"]))


def test_cpus_are_by_number_without_the_sum() -> None:
    """The first line, which sums them up, is no CPU."""
    cpus = parse_cpu_ticks(STAT)
    assert list(cpus) == ["0", "10"]
    assert cpus["0"] == CpuTicks(741, 1, 837, 238399, 32, 2, 6, 7, 3, 4)
    assert (cpus["10"].idle, cpus["10"].steal) == (234592, 14)


def test_columns_of_a_newer_kernel_are_passed_over() -> None:
    """An eleventh column changes nothing."""
    assert parse_cpu_ticks(b"cpu0 1 2 3 4 5 6 7 8 9 10 11\n")["0"] == CpuTicks(*range(1, 11))


def test_activity_is_the_totals() -> None:
    """Of the interrupts only the total counts, of the softirqs only the vectors."""
    softirqs = (0, 29756, 4, 3748, 38291, 0, 2, 49075, 0, 28927)
    assert parse_stat(STAT) == Stat(188910, 358752, 6341, 1795224820, 3, 0, softirqs)


def test_a_kernel_without_softirqs_has_none() -> None:
    """They are optional: an empty tuple, not ten zeros."""
    assert parse_stat(STAT.replace(SOFTIRQ_LINE, b"")).softirqs == ()


@pytest.mark.parametrize(
    "buf",
    [
        b"",
        b"cpu  1 2 3 4 5 6 7 8 9 10\n",
        b"cpu0 1 2 3 4 5 6 7 8 9\n",
        b"cpu0 1 2 3 4 five 6 7 8 9 10\n",
        b"cpux 1 2 3 4 5 6 7 8 9 10\n",
    ],
)
def test_cpu_lines_that_are_not_as_documented_are_malformed(buf: bytes) -> None:
    """None at all, truncated, or not numbers."""
    with pytest.raises(Malformed):
        parse_cpu_ticks(buf)


@pytest.mark.parametrize("name", [b"intr", b"ctxt", b"btime", b"processes", b"procs_running", b"procs_blocked"])
def test_a_missing_or_empty_line_is_malformed(name: bytes) -> None:
    """A count that is not there is not 0; the error names it where it is missing."""
    with pytest.raises(Malformed, match=name.decode()):
        parse_stat(STAT.replace(b"\n" + name + b" ", b"\nother "))
    with pytest.raises(Malformed):
        parse_stat(STAT.replace(b"\n" + name + b" ", b"\n" + name + b" x"))


def test_too_few_softirqs_are_malformed() -> None:
    """Fewer than the vectors cannot be told apart."""
    with pytest.raises(Malformed, match="softirq"):
        parse_stat(STAT.replace(SOFTIRQ_LINE, b"softirq 1 2 3\n"))


@given(st.binary() | LIKE_STAT.map(b" ".join))
def test_any_bytes_give_structs_or_malformed(buf: bytes) -> None:
    """No other exception escapes either parser."""
    for parse in (parse_cpu_ticks, parse_stat):
        try:
            parse(buf)
        except Malformed:
            pass


@given(st.integers(0, len(STAT)))
def test_a_truncated_file_gives_a_struct_or_malformed(size: int) -> None:
    """What was cut off is never invented: whatever is given is a prefix of the whole."""
    try:
        assert parse_cpu_ticks(STAT[:size]).keys() <= parse_cpu_ticks(STAT).keys()
    except Malformed:
        pass
