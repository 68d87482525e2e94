"""A Batch as text, from remembered pieces.

Most label sets, and many values, are those of the last scrape. So the ``{labels} `` of each sample are kept for as long
as collectors pass the same keys object, once for all the families that share it; and a family's finished text once its
values stood still for a scrape. Measured at 2,000 series: 0.5 ms against 11 ms for prometheus_client; unchanged
blocks cost 1 us.

Both formats carry identical samples and differ in the lines around them. In OpenMetrics a counter that is not named
``_total`` and every untyped family is ``unknown`` (a counter family's name there lacks the suffix); ``# EOF`` ends it.
Threads: one Renderer may be used by several threads at once; a race costs the loser its remembered piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import isfinite
from typing import Final

from agent.exposition.negotiate import Format
from agent.model import Block, Family, Key, Value

FAMILIES_MAX: Final = 4096
KEPT_MAX: Final = 8192  # characters of a text: to make a longer one again costs little beside keeping it


# What the last rendering of one family left behind: (keys, its labels, values, text; empty while the values move).
# Replaced as a whole, so that threads never see a mixture. A plain tuple: it is taken apart 300 times a scrape.
_Piece = tuple[tuple[Key, ...], list[str], Sequence[Value], str]


class Renderer:
    """Renders batches of the same collectors again and again. Memory: the labels once, and what stands still."""

    __slots__ = ("_headers", "_labels", "_pieces")

    def __init__(self) -> None:
        self._headers: dict[Format, dict[Family, str]] = {"text": {}, "openmetrics": {}}
        self._pieces: dict[Family, _Piece] = {}
        self._labels: dict[tuple[int, tuple[str, ...]], tuple[tuple[Key, ...], list[str]]] = {}

    def render(self, blocks: Iterable[Block], format: Format) -> bytes:
        """The exposition of these blocks, UTF-8. Families appear in the order of their blocks."""
        self._forget()
        headers, pieces = self._headers[format], self._pieces
        parts: list[str] = []
        for family, keys, values in blocks:
            header = headers.get(family)
            if header is None:
                header = headers[family] = _HEADERS[format](family)
            piece = pieces.get(family)
            if piece is None or keys is not piece[0]:
                piece = (keys, self._labels_of(family, keys), (), "")
            text = piece[3]
            if values != piece[2]:
                text = _text(family, piece[1], values)
                pieces[family] = (keys, piece[1], values, "")
            elif not text:
                text = _text(family, piece[1], values)
                if len(text) <= KEPT_MAX:
                    pieces[family] = (keys, piece[1], values, text)
            parts += (header, text)
        if format == "openmetrics":
            parts.append("# EOF\n")
        return "".join(parts).encode(errors="replace")  # half a character of a name costs itself, as on the wire

    def _labels_of(self, family: Family, keys: tuple[Key, ...]) -> list[str]:
        if family.type in ("histogram", "summary"):
            return [_slot(family, *key) for key in keys]
        known = self._labels.get((id(keys), family.labels))
        if known is None:  # what is known keeps its keys alive, so that their id is nobody else's
            known = (keys, [_braces(zip(family.labels, key, strict=True)) for key in keys])
            self._labels[id(keys), family.labels] = known
        return known[1]

    def _forget(self) -> None:
        """What no family uses any more: the labels of earlier keys, and text files that came under many names."""
        if len(self._pieces) > FAMILIES_MAX:
            self._pieces, self._headers = {}, {"text": {}, "openmetrics": {}}
        if len(self._labels) > 2 * len(self._pieces) + 16:
            used = {id(piece[0]) for piece in list(self._pieces.values())}
            self._labels = {name: known for name, known in list(self._labels.items()) if name[0] in used}


def _text(family: Family, labels: list[str], values: Sequence[Value]) -> str:
    """A line for each value. Joined from three columns: half the price of a template."""
    try:
        plain = isfinite(sum(values))
    except OverflowError:  # an int beyond what a double can hold
        plain = False
    stem = "" if family.type in ("histogram", "summary") else family.name
    pieces = ["\n" + stem] * (3 * len(labels) + 1)
    pieces[0], pieces[-1] = stem, "\n"
    pieces[1::3] = labels
    pieces[2::3] = map(repr if plain else number, values)
    return "".join(pieces)


def number(value: Value) -> str:
    """One value as every Prometheus parser reads it, shortest form that gives the same double."""
    try:
        if isfinite(value):
            return repr(value)
    except OverflowError:  # an int beyond what a double can hold is infinite to every reader
        pass
    return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"


def _slot(family: Family, suffix: str, bound: str, *labels: str) -> str:
    pairs = list(zip(family.labels, labels, strict=True))
    if bound:
        pairs.append(("le" if family.type == "histogram" else "quantile", bound))
    return family.name + suffix + _braces(pairs)


def _braces(pairs: Iterable[tuple[str, str]]) -> str:
    labels = ",".join([f'{label}="{escape_label(value)}"' for label, value in pairs])
    return f"{{{labels}}} " if labels else " "


def escape_label(value: str) -> str:
    if '"' in value or "\\" in value or "\n" in value:
        return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return value


def _text_header(family: Family) -> str:
    text = family.help.replace("\\", "\\\\").replace("\n", "\\n")
    return f"# HELP {family.name} {text}\n# TYPE {family.name} {family.type}\n"


def _openmetrics_header(family: Family) -> str:
    name, kind = family.name, "unknown" if family.type == "untyped" else family.type
    if kind == "counter":
        name, kind = (name.removesuffix("_total"), kind) if name.endswith("_total") else (name, "unknown")
    text = family.help.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n"


_HEADERS: Final[dict[Format, Callable[[Family], str]]] = {"text": _text_header, "openmetrics": _openmetrics_header}
