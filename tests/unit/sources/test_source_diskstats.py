"""``/proc/diskstats``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Malformed
from agent.sources.diskstats import Diskstat, parse_diskstats

DISKSTATS = b"""\
   7       0 loop0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17
 254       0 vda 25947 1021 1234 5 6 7 8 9 0 11 12 13 14 15 16 17 18
 254       1 vda1 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17
"""


def everything(device: str) -> bool:
    return True


def test_a_line_is_a_device_with_its_counters() -> None:
    """In the kernel's order and its units."""
    counters = (25947, 1021, 1234, 5, 6, 7, 8, 9, 0, 11, 12, 13, 14, 15, 16, 17, 18)
    assert parse_diskstats(DISKSTATS, everything)[1] == Diskstat(254, 0, "vda", counters)


def test_devices_that_are_not_wanted_are_passed_over() -> None:
    """Even when the rest of their line makes no sense."""
    garbled = DISKSTATS + b"1 0 ram0 garbage\n"
    assert [disk.device for disk in parse_diskstats(garbled, lambda device: device == "vda")] == ["vda"]


@pytest.mark.parametrize("columns", [11, 15, 17, 19])
def test_every_kernel_has_its_own_number_of_columns(columns: int) -> None:
    """Before 4.18, before 5.5, now, and one day."""
    line = b"8 0 sda " + b" ".join(b"%d" % n for n in range(columns))
    assert parse_diskstats(line, everything) == [Diskstat(8, 0, "sda", tuple(range(columns)))]


@pytest.mark.parametrize(
    "buf",
    [
        b"8 0\n",
        b"8 zero sda 1 2 3 4 5 6 7 8 9 10 11\n",
        b"8 0 sda 1 2 3 4 5 6 7 8 9 10\n",
        b"8 0 sda 1 2 3 4 5 6 7 8 9 10 eleven\n",
        b"8 0 sd\xff 1 2 3 4 5 6 7 8 9 10 11\n",
        b"\n",
    ],
)
def test_a_line_that_is_not_one_is_malformed(buf: bytes) -> None:
    """Truncated or garbled, it costs the block, not the process."""
    with pytest.raises(Malformed, match="diskstats"):
        parse_diskstats(DISKSTATS + buf, everything)


@given(st.binary() | st.lists(st.sampled_from([*DISKSTATS.split(b" "), b"\n", b"\xff"])).map(b" ".join))
def test_any_bytes_give_devices_or_malformed(buf: bytes) -> None:
    """Nothing else is raised, and what is given has the counters that every kernel has."""
    try:
        disks = parse_diskstats(buf, everything)
    except Malformed:
        return
    assert all(len(disk.counters) >= 11 for disk in disks)
