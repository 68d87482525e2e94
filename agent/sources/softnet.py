"""``/proc/net/softnet_stat``: how each CPU coped with the packets that it received.

Source: <procfs>/1/net/softnet_stat, net/core/net-procfs.c. Since: 2.4; received_rps 2.6.39, flow_limit_count 3.11,
backlog_len and the CPU's number 5.10. One line per online CPU, for all network namespaces together.
Units: packets and events, hexadecimal, of 32 bits: they wrap. Errors: Malformed. Cost: 5 us and 2 us per CPU.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from agent.errors import Malformed
from agent.sources.root import Root

_COLUMNS_MIN: Final = 9


class SoftnetCpu(NamedTuple):
    """One CPU. None is what this kernel does not tell.

    ``cpu`` is the CPU's number where the kernel tells it, and else that of the line, which is less than the CPU's
    number when one before it is offline.
    """

    cpu: int
    processed: int
    dropped: int
    times_squeezed: int
    cpu_collision: int
    received_rps: int | None
    flow_limit_count: int | None
    backlog_len: int | None


def parse_softnet(buf: bytes) -> list[SoftnetCpu]:
    """Shape: ``0000ca4 00000000 ...`` per CPU, 9 to 15 columns."""
    *lines, rest = buf.split(b"\n")
    if rest or not lines:
        raise Malformed("net/softnet_stat", "whole lines expected", rest)
    return [_parse_line(number, line) for number, line in enumerate(lines)]


def _parse_line(number: int, line: bytes) -> SoftnetCpu:
    words = line.split()
    width = len(words)
    if width < _COLUMNS_MIN:
        raise Malformed("net/softnet_stat", f"at least {_COLUMNS_MIN} columns expected", line)
    try:
        return SoftnetCpu(
            cpu=int(words[12], 16) if width > 12 else number,
            processed=int(words[0], 16),
            dropped=int(words[1], 16),
            times_squeezed=int(words[2], 16),
            cpu_collision=int(words[8], 16),
            received_rps=int(words[9], 16) if width > 9 else None,
            flow_limit_count=int(words[10], 16) if width > 10 else None,
            backlog_len=int(words[11], 16) if width > 12 else None,
        )
    except ValueError:
        raise Malformed("net/softnet_stat", "hexadecimal numbers expected", line) from None


def read_softnet(procfs: Root, path: str) -> list[SoftnetCpu]:
    """``path`` is net/softnet_stat below ``procfs``."""
    return parse_softnet(procfs.read(path))
