"""``/proc/pressure``: how long tasks waited for a resource (pressure stall information, PSI).

Source: <procfs>/pressure/{cpu,io,memory,irq}, accounting/psi.rst. Since: 4.20; irq 6.1; cpu has ``full`` since 5.13,
irq has no ``some``. Shape: ``some avg10=0.06 avg60=0.21 avg300=0.99 total=8537362``. Units: microseconds.
Errors: Gone where the kernel lacks it, Unsupported where it was booted with it switched off, Malformed.
Cost: 4 us per resource.
"""

from __future__ import annotations

from typing import NamedTuple

from agent.errors import Malformed
from agent.sources.root import Root


class Pressure(NamedTuple):
    """Time since boot during which at least one task waited, and during which all of them did at once."""

    some_usec: int | None
    full_usec: int | None


def parse_pressure(buf: bytes, resource: str) -> Pressure:
    """``resource`` is only for the error. Kinds of lines that are not known yet are passed over."""
    totals = {}
    for line in buf.splitlines():
        averages, _, total = line.partition(b" total=")
        try:
            totals[averages.partition(b" ")[0]] = int(total)
        except ValueError:
            raise Malformed(f"pressure/{resource}", "'total=number' expected", line) from None
    if not totals:
        raise Malformed(f"pressure/{resource}", "empty")
    return Pressure(totals.get(b"some"), totals.get(b"full"))


def read_pressure(procfs: Root, resource: str) -> Pressure:
    return parse_pressure(procfs.read(f"pressure/{resource}"), resource)
