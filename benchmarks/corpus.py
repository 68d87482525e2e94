"""A recorded corpus: batches of a real machine, exact to the type and the last bit of every value.

One xz'd JSON document: the families, the key columns, which blocks each tick had, and every series' values as one line
of text, a word per tick: nothing for the same value again, ``_`` where there is none, ``+`` or ``-`` and the
difference between two ints, else the value as it is written (``12``, ``0.25``). ``record_corpus`` makes them.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from agent.model import Block, Family, Key, Value

CORPORA = Path(__file__).parent / "corpora"
Slot = tuple[int, Key]


class Recorded(NamedTuple):
    """One round of collection."""

    unix_ms: int
    boot_ms: int
    blocks: tuple[Block, ...]


def write(path: Path, ticks: Iterable[Recorded]) -> None:
    families: dict[tuple[Any, ...], int] = {}
    columns: dict[tuple[Key, ...], int] = {}
    shapes: list[list[tuple[int, int]]] = []
    series: dict[Slot, list[Value | None]] = {}
    times: list[tuple[int, int]] = []
    for number, (unix_ms, boot_ms, blocks) in enumerate(ticks):
        times.append((unix_ms, boot_ms))
        shape = []
        for family, keys, values in blocks:
            named = (family.name, family.type, family.help, family.labels)
            index = families.setdefault(named, len(families))
            shape.append((index, columns.setdefault(tuple(keys), len(columns))))
            for key, value in zip(keys, values, strict=True):
                line = series.setdefault((index, key), [])
                line += [None] * (number - len(line)) + [value]
        shapes.append(shape)
    document = {
        "times": times,
        "families": list(families),
        "columns": list(columns),
        "shapes": [shape if i == 0 or shape != shapes[i - 1] else None for i, shape in enumerate(shapes)],
        "series": [_line(values, len(times)) for values in series.values()],
    }
    path.write_bytes(
        lzma.compress(json.dumps(document, separators=(",", ":")).encode(), preset=9 | lzma.PRESET_EXTREME)
    )


def _line(values: list[Value | None], ticks: int) -> str:
    words, before = [], None
    for value in (*values, *[None] * (ticks - len(values))):
        if type(value) is type(before) and repr(value) == repr(before):
            words.append("")
        elif value is None:
            words.append("_")
        elif type(value) is int and type(before) is int:
            words.append(f"{value - before:+d}")
        else:
            words.append(repr(value))
        before = value
    return " ".join(words)


def read(name: str) -> list[Recorded]:
    """The ticks of ``corpora/<name>.json.xz``. Blocks share their keys objects from tick to tick, as collectors do."""
    document = json.loads(lzma.decompress((CORPORA / f"{name}.json.xz").read_bytes()))
    families = [Family(name, kind, text, tuple(labels)) for name, kind, text, labels in document["families"]]
    columns = [tuple(map(tuple, column)) for column in document["columns"]]
    lines: dict[Slot, list[Value | None]] = {}
    waiting = iter(document["series"])
    found: list[Recorded] = []
    shape: list[list[int]] = []
    for number, (unix_ms, boot_ms) in enumerate(document["times"]):
        shape = document["shapes"][number] or shape
        blocks = []
        for index, column in shape:
            values = []
            for key in columns[column]:
                if (index, key) not in lines:
                    lines[index, key] = _values(next(waiting))
                values.append(lines[index, key][number])
            blocks.append(Block(families[index], columns[column], values))
        found.append(Recorded(unix_ms, boot_ms, tuple(blocks)))
    return found


def _values(line: str) -> list[Value | None]:
    values: list[Value | None] = []
    before: Value | None = None
    for word in line.split(" "):
        if word == "_":
            before = None
        elif word[:1] == "+" or (word[:1] == "-" and type(before) is int and word[1:].isdigit()):
            before += int(word)
        elif word:
            before = int(word) if word.lstrip("-").isdigit() else float(word)
        values.append(before)
    return values
