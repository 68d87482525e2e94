"""A Batch as text, from remembered pieces.

Most label sets, and most values, are those of the last scrape. So per family the ``name{labels} `` prefixes are kept
as one %-template for as long as the collector passes the same keys object, and the finished text for as long as
the values are equal. Measured at 2,000 series: 0.5 ms against 14 ms for prometheus_client; unchanged blocks cost 1 us.

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


# What the last rendering of one family left behind: (keys, template, values, text). Replaced as a whole, so that
# threads never see a mixture. A plain tuple: it is taken apart 300 times a scrape.
_Piece = tuple[tuple[Key, ...], str, Sequence[Value], str]


class Renderer:
    """Renders batches of the same collectors again and again. Memory: about twice the size of the text."""

    __slots__ = ("_headers", "_pieces")

    def __init__(self) -> None:
        self._headers: dict[Format, dict[Family, str]] = {"text": {}, "openmetrics": {}}
        self._pieces: dict[Family, _Piece] = {}

    def render(self, blocks: Iterable[Block], format: Format) -> bytes:
        """The exposition of these blocks, UTF-8. Families appear in the order of their blocks."""
        headers, pieces = self._headers[format], self._pieces
        parts: list[str] = []
        if len(pieces) > FAMILIES_MAX:  # text files that come and go under new names
            pieces.clear()
            headers.clear()
        for family, keys, values in blocks:
            header = headers.get(family)
            if header is None:
                header = headers[family] = _HEADERS[format](family)
            piece = pieces.get(family)
            if piece is None or keys is not piece[0] or values != piece[2]:
                piece = pieces[family] = _piece(family, keys, values, piece)
            parts += (header, piece[3])
        if format == "openmetrics":
            parts.append("# EOF\n")
        return "".join(parts).encode()


def _piece(family: Family, keys: tuple[Key, ...], values: Sequence[Value], last: _Piece | None) -> _Piece:
    template = last[1] if last is not None and keys == last[0] else _template(family, keys)
    try:
        plain = isfinite(sum(values))
    except OverflowError:  # an int beyond what a double can hold
        plain = False
    return keys, template, values, template % (tuple(values) if plain else tuple(map(number, values)))


def number(value: Value) -> str:
    """One value as every Prometheus parser reads it, shortest form that gives the same double."""
    try:
        if isfinite(value):
            return repr(value)
    except OverflowError:  # an int beyond what a double can hold is infinite to every reader
        pass
    return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"


def _template(family: Family, keys: tuple[Key, ...]) -> str:
    if family.type in ("histogram", "summary"):
        return "".join(_slot_line(family, *key) for key in keys)
    return "".join(_line(family.name, zip(family.labels, key, strict=True)) for key in keys)


def _slot_line(family: Family, suffix: str, bound: str, *labels: str) -> str:
    pairs = list(zip(family.labels, labels, strict=True))
    if bound:
        pairs.append(("le" if family.type == "histogram" else "quantile", bound))
    return _line(family.name + suffix, pairs)


def _line(name: str, pairs: Iterable[tuple[str, str]]) -> str:
    labels = ",".join(f'{label}="{escape_label(value)}"' for label, value in pairs)
    series = f"{name}{{{labels}}}" if labels else name
    return series.replace("%", "%%") + " %s\n"


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
