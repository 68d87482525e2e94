"""``/proc/zoneinfo``: of its hundreds of numbers, the free pages that wait in the CPUs' own lists.

They are free for the kernel, but neither MemFree nor MemAvailable counts them.

Source: <procfs>/zoneinfo, proc_zoneinfo. Since: 2.6.13. Units: pages. Errors: Gone, Malformed.
Cost: the kernel writes 150 bytes per CPU and zone: 60 us on a small machine. Not for every second.
"""

from __future__ import annotations

import re
from typing import Final

from agent.errors import Malformed
from agent.sources.root import Root

_COUNT: Final = re.compile(rb"^ +count: +(\d{1,18})$", re.MULTILINE)


def parse_per_cpu_pages(buf: bytes) -> int:
    """Shape: after ``pagesets``, for each ``cpu:`` of each zone, ``count:    57``."""
    counts = _COUNT.findall(buf)
    if not counts:
        raise Malformed("zoneinfo", "no 'count: number' in it", buf[:80])
    return sum(map(int, counts))


def read_per_cpu_pages(procfs: Root) -> int:
    return parse_per_cpu_pages(procfs.read("zoneinfo"))
