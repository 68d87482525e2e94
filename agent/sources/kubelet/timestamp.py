"""RFC 3339 times and Go durations as seconds, without ``datetime``: a summary has hundreds of them.

Shape: ``2026-11-20T23:31:47Z``, ``2026-11-20T23:31:47.123456789+01:00``; ``5m0s``, ``1h30m``, ``100ms``.
"""

from __future__ import annotations

import re
from typing import Final

from agent.errors import Malformed
from agent.sources.kubelet.document import Json, field_text

_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(\.\d+)?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_DURATION: Final = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+|[+-]?0", re.ASCII)
_DURATION_PART: Final = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_UNITS_NS: Final = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9
}  # fmt: skip
_DAYS_BEFORE_MONTH: Final = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
_DAYS_IN_MONTH: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_EPOCH_DAYS: Final = 719162  # from 0001-01-01 to 1970-01-01
_DURATION_CHARS_MAX: Final = 80  # the longest that Go writes has 21
INT64_MAX_NS: Final = (1 << 63) - 1


def parse_time(text: str) -> float:
    """Seconds since the epoch. Raises Malformed."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise Malformed("time", "RFC 3339 expected", text)
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= month <= 12 or not 1 <= day <= _DAYS_IN_MONTH[month - 1] + (leap and month == 2):
        raise Malformed("time", "no such day", text)
    if year == 0 or hour > 23 or minute > 59 or second > 59:
        raise Malformed("time", "no such moment", text)
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400 - _EPOCH_DAYS
    days += _DAYS_BEFORE_MONTH[month - 1] + (leap and month > 2) + day - 1
    seconds = days * 86400 + hour * 3600 + minute * 60 + second
    fraction, sign, offset_hours, offset_minutes = match.groups()[6:]
    if sign:
        offset = int(offset_hours) * 3600 + int(offset_minutes) * 60
        seconds -= offset if sign == "+" else -offset
    return seconds + float(fraction) if fraction else float(seconds)


def field_time(owner: Json, name: str) -> float | None:
    """None where it is absent, or the zero time of Go, which is how an unset time may be written."""
    text = field_text(owner, name)
    return None if not text or text.startswith("0001-01-01T00:00:00") else parse_time(text)


def parse_duration(text: str) -> float:
    """Go's ``time.ParseDuration``, as seconds. Raises Malformed."""
    if len(text) > _DURATION_CHARS_MAX or not _DURATION.fullmatch(text):
        raise Malformed("duration", "such as 5m0s expected", text)
    total_ns = 0.0
    for number, unit in _DURATION_PART.findall(text):
        total_ns += float(number) * _UNITS_NS[unit]
    if total_ns > INT64_MAX_NS:
        raise Malformed("duration", "too long", text)
    return (-total_ns if text.startswith("-") else total_ns) / 1e9


def field_duration(owner: Json, name: str) -> float | None:
    text = field_text(owner, name)
    return parse_duration(text) if text else None
