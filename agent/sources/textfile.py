"""``*.prom``: metrics that other programs leave in a directory, in the Prometheus text format 0.0.4.

Source: files that cron jobs and the like write, https://prometheus.io/docs/instrumenting/exposition_formats.
Shape: ``# HELP`` and ``# TYPE`` lines before samples; the last line ends like every other, else the file is half
written. Units: the writer's. Errors: Malformed, and then nothing of the file counts.
Cost: 20 us per sample; prometheus_client, which reads the samples, is loaded for the first (14 MiB).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import inf, isfinite
from typing import Final, NamedTuple, TextIO, cast

from agent.errors import Malformed
from agent.model import Type, Value

_TYPES: Final = ("counter", "gauge", "untyped", "histogram", "summary")
_SUFFIXES: Final = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}
_BOUND: Final = {"histogram": "le", "summary": "quantile"}
_BLANKS: Final = " \t"
_METRIC_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL: Final = r"""[ \t]*("?)[a-zA-Z_][a-zA-Z0-9_]*\{}[ \t]*=[ \t]*"(?:[^"\\]|\\["\\n])*"[ \t]*"""
_SAMPLE: Final = re.compile(
    rf"[ \t]*{_METRIC_NAME.pattern}[ \t]*"
    rf"(?:\{{(?:{_LABEL.format(1)}(?:,{_LABEL.format(2)})*,?)?[ \t]*\}})?[ \t]*"
    r"(?:(?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|[+-]?(?i:inf(?:inity)?)|(?i:nan))"
    r"(?:[ \t]+-?[0-9]+)?"
)
_HELP_ESCAPES: Final = {"\\\\": "\\", "\\n": "\n"}
_EXACT_MAX: Final = 1 << 53

Slot = tuple[str, str, Value]


class TextSeries(NamedTuple):
    """One label set. ``slots`` are (suffix, bound, value) as in agent.model: one of them, or a histogram's."""

    labels: dict[str, str]
    slots: list[Slot]


class TextFamily(NamedTuple):
    """One metric name as one file has it. ``help`` is None where the file does not say."""

    name: str
    type: Type
    help: str | None
    series: list[TextSeries]


class _Sample(NamedTuple):
    name: str
    labels: dict[str, str]
    value: Value


class _Distribution:
    """A histogram or summary while its lines are read, in whatever order."""

    __slots__ = ("bounds", "count", "labels", "sum")

    def __init__(self, labels: dict[str, str]) -> None:
        self.labels = labels
        self.bounds: dict[float, Value] = {}
        self.sum: Value = 0
        self.count: Value = 0


class _Building:
    """A family while its lines are read. Its type is settled by its TYPE line or, without one, by its first sample."""

    __slots__ = ("distributions", "help", "name", "series", "type")

    def __init__(self, name: str) -> None:
        self.name = name
        self.type = ""
        self.help: str | None = None
        self.series: list[TextSeries] = []
        self.distributions: dict[frozenset[tuple[str, str]], _Distribution] = {}

    def add(self, sample: _Sample) -> None:
        self.type = self.type or "untyped"
        bound_label = _BOUND.get(self.type)
        if bound_label is None:
            self.series.append(TextSeries(sample.labels, [("", "", sample.value)]))
            return
        labels = {name: value for name, value in sample.labels.items() if name != bound_label}
        one = self.distributions.setdefault(frozenset(labels.items()), _Distribution(labels))
        suffix = sample.name.removeprefix(self.name)
        if suffix == "_sum":
            one.sum = sample.value
        elif suffix == "_count":
            one.count = _whole(sample.value)
        elif bound_label in sample.labels:
            bound = float(sample.labels[bound_label])
            one.bounds[bound] = _whole(sample.value) if self.type == "histogram" else sample.value

    def done(self) -> TextFamily:
        series = self.series + [TextSeries(one.labels, _slots(self.type, one)) for one in self.distributions.values()]
        return TextFamily(self.name, cast("Type", self.type), self.help, series)


def _slots(type: str, one: _Distribution) -> list[Slot]:
    suffix = ""
    if type == "histogram":
        suffix = "_bucket"
        one.bounds.setdefault(inf, one.count)
    slots: list[Slot] = [(suffix, bound_text(bound), value) for bound, value in sorted(one.bounds.items())]
    return [*slots, ("_sum", "", one.sum), ("_count", "", one.count)]


def bound_text(bound: float) -> str:
    """A bound as Go writes it, because that is how its series is known: ``1``, ``0.25``, ``1e+06``, ``+Inf``."""
    if not isfinite(bound):
        return "+Inf" if bound > 0 else "-Inf" if bound < 0 else "NaN"
    if abs(bound) < 1e6:
        return repr(bound).removesuffix(".0")
    return next(text for text in (f"{bound:.{digits}e}" for digits in range(17)) if float(text) == bound)


def _whole(value: Value) -> int:
    if not isfinite(value):
        raise ValueError("a count that is not finite")
    return int(value)


def parse_textfile(buf: bytes, path: str) -> list[TextFamily]:
    """The families of one file in the order of their first mention. ``path`` is only for the error."""
    try:
        lines = buf.decode().split("\n")
    except UnicodeDecodeError as error:
        raise Malformed(path, f"not UTF-8 at byte {error.start}") from None
    if lines.pop().strip(_BLANKS):
        raise Malformed(path, "the last line does not end")
    families: dict[str, _Building] = {}
    samples = _samples([line for line in lines if line.strip(_BLANKS) and not _is_comment(line)])
    for number, line in enumerate(lines, 1):
        try:
            if _is_comment(line):
                _read_comment(line.lstrip(_BLANKS), families)
            elif line.strip(_BLANKS):
                _look_valid(line)
                sample = next(samples)
                _family(families, sample.name).add(sample)
        except (ValueError, IndexError, OverflowError, StopIteration) as error:
            raise Malformed(path, f"line {number}: {error}", line) from None
    return [family.done() for family in families.values() if family.series or family.distributions]


def _is_comment(line: str) -> bool:
    return line.lstrip(_BLANKS).startswith("#")


def _look_valid(line: str) -> None:
    """Raises ValueError for what prometheus_client reads more kindly than Go does."""
    match = _SAMPLE.fullmatch(line)
    if match is None:
        raise ValueError("'name{label=\"value\"} number' expected")
    if match["number"] and not isfinite(float(match["number"])):
        raise ValueError("a number out of range")


def _samples(lines: list[str]) -> Iterator[_Sample]:
    """The samples by themselves: which family they belong to is settled here, by the rules of Go's parser."""
    if not lines:
        return
    from prometheus_client.parser import text_fd_to_metric_families

    for metric in text_fd_to_metric_families(cast("TextIO", lines)):
        (sample,) = metric.samples
        if sample.timestamp is not None:
            raise ValueError("a timestamp, which a text file must not have")
        value = sample.value
        exact = isinstance(value, float) or abs(value) <= _EXACT_MAX
        yield _Sample(sample.name, sample.labels, value if exact else float(value))


def _family(families: dict[str, _Building], name: str) -> _Building:
    """The family a name belongs to: its own, or the histogram or summary that it is a part of."""
    if name not in families:
        for suffix in _SUFFIXES["histogram"]:
            whole = families.get(name.removesuffix(suffix))
            if name.endswith(suffix) and whole is not None and suffix in _SUFFIXES.get(whole.type, ()):
                return whole
        families[name] = _Building(name)
    return families[name]


def _read_comment(line: str, families: dict[str, _Building]) -> None:
    """``# HELP name text`` and ``# TYPE name type``, each at most once per name; all other comments say nothing."""
    keyword, name, text = (*line[1:].split(None, 2), "", "", "")[:3]
    if keyword not in ("HELP", "TYPE") or not name:
        return
    if not _METRIC_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a name")
    family = _family(families, name)
    if keyword == "HELP" and text:
        if family.help is not None:
            raise ValueError(f"a second HELP line for {name}")
        family.help = re.sub(r"\\.?", lambda escape: _help_escape(escape[0]), text)
    elif keyword == "TYPE" and text:
        if family.type:
            raise ValueError(f"a second TYPE line for {name}, or one after its samples")
        if text.lower() not in _TYPES:
            raise ValueError(f"{text!r} is not a type")
        family.type = text.lower()


def _help_escape(escape: str) -> str:
    if escape not in _HELP_ESCAPES:
        raise ValueError(f"{escape!r} is not an escape sequence")
    return _HELP_ESCAPES[escape]
