"""The figures as a table that can be read without the documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from agent.compare.figures import Figures

HEAD: Final = (
    ("", "SCENARIO"),
    ("", "TRANSPORT"),
    ("AGE OF NEWEST,", "MEDIAN"),
    ("AGE OF NEWEST,", "P99"),
    ("ON THE WIRE,", "PER SAMPLE"),
    ("CPU OF", "AN AGENT"),
    ("CPU OF", "RECEIVER"),
    ("ROUNDS", "LOST"),
    ("SAMPLES", "LOST"),
    ("LOST ROUNDS", "DECLARED"),
)
LEFT: Final = 2  # columns


def table(rows: Iterable[Figures]) -> str:
    cells = [*([pair[line] for pair in HEAD] for line in range(2)), *map(_row, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(_line(row, widths) for row in cells)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    texts = zip(row, widths, strict=True)
    return "  ".join(
        text.ljust(width) if at < LEFT else text.rjust(width) for at, (text, width) in enumerate(texts)
    ).rstrip()


def _row(one: Figures) -> list[str]:
    return [
        one.scenario,
        one.transport,
        _seconds(one.age_median_s),
        _seconds(one.age_p99_s),
        "-" if one.bytes_per_sample is None else f"{one.bytes_per_sample:.2f} B",
        f"{one.agent_cpu:.2%}",
        f"{one.receiver_cpu:.2%}",
        f"{one.lost} of {one.rounds}",
        "-" if one.samples_lost is None else f"{one.samples_lost:,}",
        f"{one.declared}" if one.lost else "-",
    ]


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
