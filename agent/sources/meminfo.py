"""``/proc/meminfo``: the node's memory as the kernel accounts for it.

Source: <procfs>/meminfo, proc_meminfo(5). Since: 1.x; fields come and go with the kernel.
Units: KiB, except the HugePages_* page counts. Errors: Malformed. Cost: one read and parse, 20 us.
"""

from __future__ import annotations

from agent.errors import Malformed
from agent.sources.root import Root


def parse_meminfo(buf: bytes) -> dict[str, tuple[int, bool]]:
    """Shape: ``MemTotal:  24684096 kB`` per line. Gives (value, whether in KiB) by field, in the kernel's order."""
    fields = {}
    for line in buf.splitlines():
        words = line.split()
        try:
            fields[words[0][:-1].decode()] = (int(words[1]), len(words) > 2)
        except (ValueError, IndexError):
            raise Malformed("meminfo", "'name: number [kB]' expected", line) from None
    if not fields:
        raise Malformed("meminfo", "empty")
    return fields


def read_meminfo(procfs: Root) -> dict[str, tuple[int, bool]]:
    return parse_meminfo(procfs.read("meminfo"))
