"""``/proc/sys/fs/file-nr``: how many files are open on the node, and how many may be.

Source: <procfs>/sys/fs/file-nr, proc_sys_fs(5). Since: 2.6 in this meaning. Units: file handles.
Errors: Malformed. Cost: one read, 2 us.
"""

from __future__ import annotations

from typing import NamedTuple

from agent.errors import Malformed
from agent.sources.root import Root

_FILE = "sys/fs/file-nr"


class FileHandles(NamedTuple):
    """The kernel's third number, allocated but unused, is always 0 since 2.6 and left out."""

    allocated: int
    maximum: int


def parse_file_nr(buf: bytes) -> FileHandles:
    """Shape: ``1152  0  2466183``, tabs between them."""
    try:
        allocated, _, maximum = buf.split()
        return FileHandles(int(allocated), int(maximum))
    except ValueError:
        raise Malformed(_FILE, "three numbers expected", buf) from None


def read_file_nr(procfs: Root) -> FileHandles:
    return parse_file_nr(procfs.attribute(_FILE))
