"""The eviction table: what a person wants to read at 3 a.m. Pure: a report (``report``) in, lines of text out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

Report = dict[str, Any]

BOLD, DIM, RED, YELLOW, RESET = "\033[1m", "\033[2m", "\033[31;1m", "\033[33m", "\033[0m"
HEAD: Final = ("SIGNAL", "AVAILABLE", "THRESHOLD", "MARGIN", "TREND", "TIME LEFT", "NEXT TO GO")
GIVEN_UP: Final = ("TREND", "THRESHOLD", "AVAILABLE")  # one after the other, where a terminal is too narrow
GAP: Final = "  "
DERIVED: Final = "containerfs."  # one of the other filesystems under another name: shown when it matters
NEXT: Final = 3
NEAR_RATIO: Final = 0.05
NEAR_S: Final = 600.0
_BINARY: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_ORIGINS: Final = {
    "configz": "the kubelet's /configz",
    "file": "the kubelet's configuration file",
    "default": "Kubernetes' defaults, as no kubelet's configuration is known here",
}


class Row(NamedTuple):
    """``alarm`` is 2 when the threshold is crossed, 1 when it is near, else 0."""

    cells: tuple[str, ...]
    alarm: int


def table(report: Report, colours: bool = False, width: int = 0) -> list[str]:
    """The lines of a report, without columns in which nothing is known. ``width`` cuts them, where it is not 0.

    Nothing that does not print is in them, whoever wrote it: they go to a terminal.
    """
    rows = [row for signal in report["signals"] for row in _rows(signal)]
    columns = [column for column in zip(HEAD, *(row.cells for row in rows), strict=True) if any(column[1:])]
    columns = _fitting(columns, width)
    widths = [max(map(len, column)) for column in columns]
    head, *lines_of = zip(*columns, strict=True) if columns else [("No signal can be read here.",)]
    lines = [_painted(_title(report), ""), "", _painted(_aligned(head, widths or [0], width), BOLD if colours else "")]
    for row, cells in zip(rows, lines_of, strict=True):
        paint = ("", YELLOW, RED)[row.alarm] if colours else ""
        lines.append(_painted(_aligned(cells, widths, width), paint))
    notes = list(_notes(report))
    return [*lines, "", *(_painted(note, DIM if colours else "") for note in notes)] if notes else lines


def _title(report: Report) -> str:
    set_now = [name for name, value in report["conditions"].items() if value]
    state = ", ".join(set_now) if set_now else "no pressure"
    return f"{report['node'] or 'this node'}: {state}. Thresholds: {_ORIGINS[report['origin']]}."


def _fitting(columns: list[tuple[str, ...]], width: int) -> list[tuple[str, ...]]:
    """Those that fit. The next pods come last, and are cut."""
    for name in GIVEN_UP if width else ():
        needed = [max(map(len, column)) for column in columns if column[0] != HEAD[-1]]
        if sum(needed) + len(GAP) * (len(needed) - 1) <= width:
            break
        columns = [column for column in columns if column[0] != name]
    return columns


def _rows(signal: Report) -> Iterator[Row]:
    unit, source = signal["unit"], signal["source"]
    available = "?" if source is None else quantity(signal["sources"][source]["available"], unit)
    pods = ", ".join(f"{pod['namespace']}/{pod['pod']}" for pod in signal["next"][:NEXT])
    name, trend = signal["signal"], _trend(signal["trend_per_second"], unit)
    if not signal["thresholds"] and not name.startswith(DERIVED):
        yield Row((name, available, "none", "", trend, "", ""), 0)
    for threshold in signal["thresholds"]:
        if name.startswith(DERIVED) and not _alarm(threshold):
            continue
        yield Row(
            (
                f"{name}{' (soft)' if threshold['kind'] == 'soft' else ''}",
                available,
                _threshold(threshold, unit),
                _margin(threshold, unit),
                trend,
                _time_left(threshold),
                pods,
            ),
            _alarm(threshold),
        )


def _threshold(threshold: Report, unit: str) -> str:
    if threshold["quantity"] is None:
        return str(threshold["text"])
    shown = quantity(threshold["quantity"], unit)
    return f"{shown} ({threshold['text']})" if threshold["text"].endswith("%") else shown


def _margin(threshold: Report, unit: str) -> str:
    margin, ratio = threshold["margin"], threshold["margin_ratio"]
    if margin is None:
        return "?"
    return f"{quantity(margin, unit)} ({ratio:.1%})"


def _time_left(threshold: Report) -> str:
    if threshold["crossed"]:
        return "CROSSED"
    left_s = threshold["seconds_to_threshold"]
    return "" if left_s is None else duration(left_s)


def _alarm(threshold: Report) -> int:
    if threshold["crossed"]:
        return 2
    left_s, ratio = threshold["seconds_to_threshold"], threshold["margin_ratio"]
    near = (left_s is not None and left_s < NEAR_S) or (ratio is not None and ratio < NEAR_RATIO)
    return 1 if near else 0


def _trend(per_second: float | None, unit: str) -> str:
    if per_second is None:
        return ""
    per_minute = round(per_second * 60)
    if not per_minute:
        return "steady"
    return f"{'+' if per_minute > 0 else '-'}{quantity(abs(per_minute), unit)}/min"


def _notes(report: Report) -> Iterator[str]:
    for limit in report["limits_exceeded"]:
        yield f"{limit['namespace']}/{limit['pod']} is over its own {limit['limit']}: it goes before any other."
    yield from report["notes"]


def _aligned(cells: Sequence[str], widths: Sequence[int], most: int) -> str:
    line = GAP.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
    return line if not most or len(line) <= most else line[: most - 1] + "…"


def _painted(line: str, paint: str) -> str:
    if not line.isprintable():
        line = "".join(sign if sign.isprintable() else "?" for sign in line)
    return f"{paint}{line}{RESET}" if paint else line


def quantity(value: float, unit: str) -> str:
    """``936 MiB``, ``1,234`` inodes; three digits that matter."""
    if unit != "bytes":
        return f"{round(value):,}"
    size, power = float(value), 0
    while abs(size) >= 1024 and power < len(_BINARY) - 1:
        size, power = size / 1024, power + 1
    digits = 0 if not power or abs(size) >= 100 else 1 if abs(size) >= 10 else 2
    return f"{size:.{digits}f} {_BINARY[power]}"


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3.5 h``, ``2 d``."""
    for size, name in ((86400, "d"), (3600, "h")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {name}"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
