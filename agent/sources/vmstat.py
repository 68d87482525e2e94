"""``/proc/vmstat``: the memory manager's counters, about 200 of them.

Source: <procfs>/vmstat, proc_vmstat(5). Since: 2.6; fields come and go with the kernel.
Shape: ``name number`` per line. Units: mostly pages and events, as the name says; KiB for ``pgpgin`` and ``pgpgout``.
Errors: Malformed. Cost: 30 us to read. Few of the fields are asked for; to parse the others would cost as much again.
"""

from __future__ import annotations

from collections.abc import Container

from agent.errors import Malformed
from agent.sources.root import Root


def parse_vmstat(buf: bytes, ignored: Container[bytes] = ()) -> dict[str, int]:
    """The fields by name, in the kernel's order, without the ``ignored`` ones."""
    words = buf.split()
    try:
        fields = {
            name.decode("ascii"): int(value)
            for name, value in zip(words[::2], words[1::2], strict=True)
            if name not in ignored
        }
    except ValueError as error:
        raise Malformed("vmstat", f"'name number' expected: {error}") from None
    if not words:
        raise Malformed("vmstat", "empty")
    for name in fields:
        if not name.isidentifier():
            raise Malformed("vmstat", "a name expected", name)
    return fields


def read_vmstat(procfs: Root, ignored: Container[bytes] = ()) -> dict[str, int]:
    return parse_vmstat(procfs.read("vmstat"), ignored)
