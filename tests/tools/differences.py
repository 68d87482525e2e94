"""docs/differences.toml: how the agent differs from node_exporter on purpose, and why.

The page of metrics shows it, and the tests beside the real node_exporter hold it to be complete and true.
"""

from __future__ import annotations

import fnmatch
import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

FILE: Final = Path(__file__).resolve().parents[2] / "docs" / "differences.toml"
KINDS: Final[dict[str, tuple[str, ...]]] = {
    "missing": ("missing",),  # node_exporter has the series, the agent has not
    "extra": ("extra",),
    "labels": ("missing", "extra"),  # both have the series, under other label values
    "type": ("type",),
    "help": ("help",),
    "value": ("value",),
}


class Difference(NamedTuple):
    """One listed difference. ``series`` are patterns with ``*``; of a kind ``type`` or ``help`` they name families.

    ``when`` says on which machines it occurs; without it, it must occur beside every node_exporter.
    """

    kind: str
    series: tuple[str, ...]
    reason: str
    when: str = ""

    def covers(self, kind: str, series: str) -> bool:
        return kind in KINDS[self.kind] and _matches(self.series, series)


class Omitted(NamedTuple):
    """Series that an agent in a pod omits, because the pod's kernel answers would describe the pod."""

    series: tuple[str, ...]
    reason: str
    when: str = ""

    def covers(self, series: str) -> bool:
        return _matches(self.series, series)


def _matches(patterns: Iterable[str], series: str) -> bool:
    return any(re.fullmatch(_regexp(pattern), series) for pattern in patterns)


@cache
def _regexp(pattern: str) -> str:
    """``*`` is the only special character: a series is full of the others."""
    return fnmatch.translate(pattern.replace("[", "[[]").replace("?", "[?]"))


def read(file: Path = FILE) -> tuple[tuple[Difference, ...], tuple[Omitted, ...]]:
    """What is listed. Raises ValueError for an entry that says less or more than it should."""
    document = tomllib.loads(file.read_text())
    if unknown := set(document) - {"difference", "pod"}:
        raise ValueError(f"{file}: unknown tables {sorted(unknown)}")
    differences = tuple(_entry(Difference, entry) for entry in document.get("difference", ()))
    if wrong := [entry for entry in differences if entry.kind not in KINDS]:
        raise ValueError(f"{file}: {wrong[0]} is not one of {', '.join(KINDS)}")
    return differences, tuple(_entry(Omitted, entry) for entry in document.get("pod", ()))


def _entry(kind: type[Any], entry: dict[str, Any]) -> Any:
    """``series`` is one pattern or several."""
    series = entry.get("series", "")
    made = kind(**{**entry, "series": (series,) if isinstance(series, str) else tuple(series)})
    if not made.reason.strip() or not all(pattern.strip() for pattern in made.series):
        raise ValueError(f"a difference without series or reason: {entry}")
    return made
