"""``/proc/mdstat`` and ``/sys/block/md*/md``: the kernel's software RAID arrays.

Source: <procfs>/mdstat, md(4), and <sysfs>/block/<array>/md, Documentation/admin-guide/md.rst. Since: 2.4, sysfs 2.6.
Units: blocks of 1 KiB, disks. Errors: Malformed; Gone where the kernel has no RAID.
Cost: one read, and three attributes per array.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from agent.errors import Gone, Malformed
from agent.sources.root import Root

_DISKS: Final = re.compile(rb"(\d+) blocks .*\[(\d+)/(\d+)\] \[[U_]+\]")
_PROGRESS: Final = re.compile(rb"\((\d+)/\d+\)")
_ACTIVITIES: Final = (
    (b"recovery", "recovering"),
    (b"reshape", "reshaping"),
    (b"check", "checking"),
    (b"resync", "resyncing"),
)
_REDUNDANT: Final = frozenset((b"raid1", b"raid4", b"raid5", b"raid6", b"raid10"))


class MdArray(NamedTuple):
    """One array of mdstat. ``state`` is the kernel's (active, inactive, broken), or what the array is busy with.

    ``blocks_synced`` counts up while it is busy and else is ``blocks``.
    """

    device: str
    state: str
    disks_active: int
    disks_required: int
    disks_failed: int
    disks_spare: int
    blocks: int
    blocks_synced: int


def parse_mdstat(buf: bytes) -> list[MdArray]:
    """Shape: per array one line that starts with its name, then indented lines: blocks and disks, [bitmap], [sync]."""
    lines = buf.split(b"\n")
    arrays = []
    for index, line in enumerate(lines):
        if not line.strip() or line.startswith((b" ", b"\t", b"Personalities :", b"unused")):
            continue
        try:
            arrays.append(_array(line, lines[index + 1], lines[index + 2 : index + 4]))
        except (ValueError, IndexError):
            raise Malformed("mdstat", "'name : state level disks' and a line of blocks expected", line) from None
    return arrays


def _array(line: bytes, status: bytes, following: list[bytes]) -> MdArray:
    words = line.split()
    blocks = int(status.split()[0])
    active, required = _disks(line, status)
    sync = following[1] if b"bitmap" in following[0] else following[0]
    state = next((name for word, name in _ACTIVITIES if word in sync), "")
    return MdArray(
        device=words[0].decode(),
        state=state or words[2].decode(),
        disks_active=active,
        disks_required=required,
        disks_failed=line.count(b"(F)"),
        disks_spare=line.count(b"(S)"),
        blocks=blocks,
        blocks_synced=_synced(sync) if state else blocks,
    )


def _disks(line: bytes, status: bytes) -> tuple[int, int]:
    """Active and required disks. Levels without redundancy say neither: every disk named is both."""
    if b"raid0" in line or b"linear" in line:
        return line.count(b"["), line.count(b"[")
    if b"inactive" in line:
        return 0, 0
    match = _DISKS.search(status)
    if match is None:
        raise ValueError("no [required/active]")
    return int(match[3]), int(match[2])


def _synced(sync: bytes) -> int:
    if b"PENDING" in sync or b"DELAYED" in sync:
        return 0
    match = _PROGRESS.search(sync)
    if match is None:
        raise ValueError("no (done/total)")
    return int(match[1])


def read_mdstat(procfs: Root) -> list[MdArray]:
    return parse_mdstat(procfs.read("mdstat"))


class MdDisks(NamedTuple):
    """What sysfs says of an array. None is what it does not say: a container has no disks of its own."""

    device: str
    disks: int | None
    degraded_disks: int | None


def read_md_disks(sysfs: Root) -> list[MdDisks]:
    """Every array of sysfs. ``raid_disks`` reads "11 (10)" while an array is reshaped."""
    found = []
    for device in sysfs.list("block"):
        if device.startswith("md") and sysfs.exists(f"block/{device}/md"):
            level = sysfs.attribute(f"block/{device}/md/level")
            disks = _leading_number(sysfs, f"block/{device}/md/raid_disks")
            degraded = _leading_number(sysfs, f"block/{device}/md/degraded") if level in _REDUNDANT else 0
            found.append(MdDisks(device, disks, degraded))
    return found


def _leading_number(sysfs: Root, path: str) -> int | None:
    try:
        words = sysfs.attribute(path).split(None, 1)
    except Gone:
        return None
    try:
        return int(words[0]) if words else None
    except ValueError:
        raise Malformed(path, "a whole number expected", words[0]) from None
