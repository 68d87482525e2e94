"""``/proc/<pid>/mountinfo``: what is mounted where, as one process sees it.

Source: <procfs>/1/mountinfo, the node's mounts; where that cannot be read (hidepid), <procfs>/self/mountinfo.
proc_pid_mountinfo(5). Since: 2.6.26. Units: none. Errors: Malformed.
Cost: one read, about 2 us per mount in the kernel, and 2 us per mount to parse: keep the result while the bytes last.
"""

from __future__ import annotations

from typing import NamedTuple

from agent.errors import Denied, Gone, Malformed
from agent.sources.root import Root


class Mount(NamedTuple):
    """One mount. ``mount_point`` is a path (what is not UTF-8 in it escaped as os.fsdecode does), the rest is text.

    ``device`` keeps the kernel's octal escapes.
    """

    major: str
    minor: str
    mount_point: str
    fs_type: str
    device: str
    read_only: bool


def parse_mountinfo(buf: bytes) -> list[Mount]:
    """Shape: ``36 35 98:0 /root /mnt rw,noatime master:1 - ext3 /dev/sda1 rw,errors=continue``, a mount a line."""
    return [_parse_line(line) for line in buf.split(b"\n") if line]


def _parse_line(line: bytes) -> Mount:
    """The optional fields vary in number: what is after them is found by the hyphen that ends them."""
    place, _, filesystem = line.partition(b" - ")
    try:
        _id, _parent, device_number, _root, mount_point, options = place.split(b" ", 6)[:6]
        fs_type, device, super_options = filesystem.split(b" ", 2)
        major, minor = device_number.decode("ascii").split(":")
    except ValueError:
        raise Malformed("mountinfo", "'id parent device root point options - type source' expected", line) from None
    return Mount(
        major,
        minor,
        unescape(mount_point).decode("utf-8", "surrogateescape"),
        fs_type.decode("utf-8", "replace"),
        device.decode("utf-8", "replace"),
        is_read_only(options, super_options),
    )


def is_read_only(options: bytes, super_options: bytes) -> bool:
    """Read-only as a mount or as a filesystem; ``emergency_ro`` is what a filesystem says that gave up writing."""
    return b"ro" in options.split(b",") or not {b"ro", b"emergency_ro"}.isdisjoint(super_options.split(b","))


def unescape(path: bytes) -> bytes:
    r"""The kernel writes blank, tab, newline and backslash as ``\040``, ``\011``, ``\012``, ``\134``."""
    if b"\\" not in path:
        return path
    first, *rest = path.split(b"\\")
    return first + b"".join(_octal(part) for part in rest)


def _octal(part: bytes) -> bytes:
    digits = part[:3]
    if len(digits) == 3 and digits.isdigit() and max(digits) <= ord("7") and digits[0] <= ord("3"):
        return bytes((int(digits, 8),)) + part[3:]
    return b"\\" + part


class MountInfo(NamedTuple):
    """The bytes, so that one can tell whether anything changed before they are parsed; and whose mounts they are."""

    buf: bytes
    is_own: bool


def read_mountinfo(procfs: Root) -> MountInfo:
    try:
        return MountInfo(procfs.read("1/mountinfo"), is_own=False)
    except (Gone, Denied):
        return MountInfo(procfs.read("self/mountinfo"), is_own=True)
