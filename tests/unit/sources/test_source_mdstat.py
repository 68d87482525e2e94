"""``/proc/mdstat`` and its sysfs attributes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Malformed
from agent.sources.host import Host
from agent.sources.mdstat import MdArray, MdDisks, parse_mdstat, read_md_disks

PERSONALITIES = b"Personalities : [linear] [raid0] [raid1] [raid6] [raid5] [raid4]\n"
UNUSED = b"unused devices: <none>\n"


def one(text: bytes) -> MdArray:
    (array,) = parse_mdstat(PERSONALITIES + text + b"\n" + UNUSED)
    return array


def test_a_whole_array_is_in_sync() -> None:
    """All its blocks are."""
    text = b"md0 : active raid1 sdb1[1] sda1[0]\n      248896 blocks super 1.2 [2/2] [UU]\n"
    assert one(text) == MdArray("md0", "active", 2, 2, 0, 0, 248896, 248896)


def test_failed_and_spare_disks_are_marked() -> None:
    """(F) and (S) after their names; [required/active] says who works."""
    text = b"md6 : active raid1 sdb2[2](F) sdc[1](S) sda2[0]\n      195310144 blocks [2/1] [U_]\n"
    assert one(text) == MdArray("md6", "active", 1, 2, 1, 1, 195310144, 195310144)


@pytest.mark.parametrize(
    ("sync", "state", "synced"),
    [
        (b"[>.]  recovery =  8.5% (16775552/195310144) finish=17.0min speed=259783K/sec", "recovering", 16775552),
        (b"[>.]  resync =  8.5% (16775552/195310144) finish=17.0min speed=259783K/sec", "resyncing", 16775552),
        (b"[>.]  check =  5.7% (114176/195310144) finish=0.2min speed=114176K/sec", "checking", 114176),
        (b"[>.]  reshape = 56.1% (1096879/195310144) finish=1868.1min speed=7640K/sec", "reshaping", 1096879),
        (b"  resync=DELAYED", "resyncing", 0),
        (b"  resync=PENDING", "resyncing", 0),
        (b"", "active", 195310144),
    ],
)
def test_a_busy_array_says_how_far_it_is(sync: bytes, state: str, synced: int) -> None:
    """With or without a bitmap line before it; one that waits has done nothing yet."""
    for bitmap in (b"", b"      bitmap: 0/30 pages [0KB], 65536KB chunk\n"):
        array = one(b"md8 : active raid1 sdb1[1] sda1[0]\n  195310144 blocks [2/2] [UU]\n" + bitmap + b"    " + sync)
        assert (array.state, array.blocks, array.blocks_synced) == (state, 195310144, synced)


def test_levels_without_redundancy_count_their_disks() -> None:
    """They have no [required/active]."""
    text = b"md101 : active (read-only) raid0 sdb[2] sdd[1] sdc[0]\n      322560 blocks super 1.2 512k chunks\n"
    assert one(text) == MdArray("md101", "active", 3, 3, 0, 0, 322560, 322560)


def test_an_inactive_array_has_no_disks_at_work() -> None:
    """Its parts are spares, as the kernel has it."""
    text = b"md219 : inactive sdb[2](S) sdc[1](S)\n        7932 blocks super external:imsm\n"
    assert one(text) == MdArray("md219", "inactive", 0, 0, 0, 2, 7932, 7932)


def test_a_kernel_with_raid_may_have_no_array() -> None:
    """Nothing, which is not an error."""
    assert parse_mdstat(PERSONALITIES + UNUSED) == []


@pytest.mark.parametrize(
    "text",
    [
        b"md0 : active raid1 sda[0]",
        b"md0 :\n  1 blocks [2/2] [UU]\n\n",
        b"md0 : active raid1 sda[0]\n  many blocks [2/2] [UU]\n\n",
        b"md0 : active raid1 sda[0]\n  1 blocks\n\n",
        b"md0 : active raid1 sda[0]\n  1 blocks [2/2] [UU]\n  [>] recovery = soon\n\n",
        b"md\xff : active raid1 sda[0]\n  1 blocks [2/2] [UU]\n\n",
    ],
)
def test_an_array_that_is_cut_off_or_garbled_is_malformed(text: bytes) -> None:
    """It costs the block."""
    with pytest.raises(Malformed, match="mdstat"):
        parse_mdstat(text)


WORDS = [
    b"md0",
    b":",
    b"active",
    b"raid1",
    b"raid0",
    b"sda[0]",
    b"\n",
    b"  ",
    b"1",
    b"blocks",
    b"[2/2]",
    b"[UU]",
    b"\xff",
]


@given(st.binary() | st.lists(st.sampled_from([*WORDS, b"recovery", b"bitmap", b"(1/2)"])).map(b" ".join))
def test_any_bytes_give_arrays_or_malformed(buf: bytes) -> None:
    """Nothing else is raised."""
    try:
        arrays = parse_mdstat(buf)
    except Malformed:
        return
    assert all(array.disks_failed >= 0 for array in arrays)


def test_sysfs_says_how_many_disks_an_array_has_and_lacks(make_host: Callable[..., Host]) -> None:
    """A reshaped array shows its old number after the new, a container none; only redundant levels can be degraded."""
    files = {
        "sys/block/md0/md/level": "raid5\n",
        "sys/block/md0/md/raid_disks": "11 (10)\n",
        "sys/block/md0/md/degraded": "1\n",
        "sys/block/md1/md/level": "raid0\n",
        "sys/block/md1/md/raid_disks": "2\n",
        "sys/block/md127/md/level": "container\n",
        "sys/block/md127/md/raid_disks": "\n",
        "sys/block/sda/size": "1\n",
        "sys/block/mdx/size": "1\n",
    }
    assert read_md_disks(make_host(files).sysfs) == [
        MdDisks("md0", 11, 1),
        MdDisks("md1", 2, 0),
        MdDisks("md127", None, 0),
    ]


def test_a_number_of_disks_that_is_none_is_malformed(make_host: Callable[..., Host]) -> None:
    """The error names the attribute."""
    files = {"sys/block/md0/md/level": "raid0\n", "sys/block/md0/md/raid_disks": "two\n"}
    with pytest.raises(Malformed, match="md0/md/raid_disks"):
        read_md_disks(make_host(files).sysfs)
