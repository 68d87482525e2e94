"""What may be said about containers that come and go, and what was: pure rules, no clock and no files.

A cgroup's path outlives it: a container that is made anew has the same one. So a *life* is one cgroup from its making
to its removal, and a scrape is judged by the lives it overlaps. A container is *steady* in a scrape when nothing was
done to it meanwhile: only then is everything about it known. Times are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import inf
from typing import Final, Literal, NamedTuple

ROUNDING: Final = 1e-9


class Life(NamedTuple):
    """It cannot have existed before ``begun`` and after ``gone``, and ran at least from ``up`` to ``ending``."""

    path: str
    memory_limit_bytes: int
    begun_s: float
    up_s: float = inf
    ending_s: float = inf
    gone_s: float = inf

    def overlaps(self, start_s: float, end_s: float) -> bool:
        return self.begun_s <= end_s and start_s <= self.gone_s

    def steady(self, start_s: float, end_s: float) -> bool:
        return self.up_s <= start_s and end_s <= self.ending_s


class Series(NamedTuple):
    """A metric of a container, with its labels that do not name the container."""

    metric: str
    labels: tuple[tuple[str, str], ...] = ()


Values = Mapping[Series, float]
Kind = Literal["grows", "grows late", "floats"]


class Reading(NamedTuple):
    """The files of one cgroup at one moment, as the values that an agent makes of them."""

    inode: int
    values: Values


class Scrape(NamedTuple):
    """What was served between two readings of everything. All by the path of the cgroup."""

    start_s: float
    end_s: float
    before: Mapping[str, Reading]
    served: Mapping[str, Values]
    after: Mapping[str, Reading]


def ghosts(scrape: Scrape, lives: Iterable[Life]) -> list[str]:
    """Containers, and pods, with series although their cgroup was gone before, or was never made."""
    paths = {life.path for life in lives if life.overlaps(scrape.start_s, scrape.end_s)}
    there = paths | {path.rpartition("/")[0] for path in paths}
    return [f"ghost: {path}" for path in scrape.served if path not in there]


def missing(scrape: Scrape, lives: Iterable[Life], always: Iterable[Series]) -> list[str]:
    """What a steady container lacks."""
    steady = {life.path for life in lives if life.steady(scrape.start_s, scrape.end_s)}
    wanted = ((path, series) for path in sorted(steady) for series in always)
    return [f"missing: {path} {series}" for path, series in wanted if series not in scrape.served.get(path, ())]


def limits(scrape: Scrape, lives: Iterable[Life], limit: Series) -> list[str]:
    """The limit tells one life of a path from the next: a steady container has its own, not its predecessor's."""
    steady = {life.path: life.memory_limit_bytes for life in lives if life.steady(scrape.start_s, scrape.end_s)}
    served = {path: scrape.served.get(path, {}).get(limit) for path in steady}
    return [f"limit: {path} has {served[path]}, not {steady[path]}" for path in steady if served[path] != steady[path]]


def wrong(scrape: Scrape, lives: Iterable[Life], kinds: Mapping[Series, Kind]) -> list[str]:
    """Values that no file can have had.

    One that grows lies between the readings of its cgroup; one that is told late may be less. One that floats is not 0
    where it was not before and after, but while a container is being made or removed a file may well have been.
    """
    steady = {life.path for life in lives if life.steady(scrape.start_s, scrape.end_s)}
    found = []
    for path, values in scrape.served.items():
        before, after = scrape.before.get(path), scrape.after.get(path)
        for series in values.keys() & kinds.keys():
            value, kind = values[series], kinds[series]
            if kind == "floats":
                right = value != 0 or path not in steady or not all(_known(series, before, after))
            else:
                right = _fits(series, value, before, after, late=kind == "grows late")
            if not right:
                found.append(f"{series} of {path}: {_said(series, before)}, {value}, {_said(series, after)}")
    return found


def _fits(series: Series, value: float, before: Reading | None, after: Reading | None, late: bool) -> bool:
    low = before.values.get(series, 0.0) if before and not late else 0.0
    high = after.values.get(series, inf) if after else inf
    if before and after and before.inode == after.inode:
        return low * (1 - ROUNDING) <= value <= high * (1 + ROUNDING)
    of_the_old, of_the_new = value >= low * (1 - ROUNDING), 0 <= value <= high * (1 + ROUNDING)
    if before and after:
        return of_the_old or of_the_new
    return of_the_old if before else of_the_new


def _known(series: Series, *readings: Reading | None) -> Iterator[float]:
    return (reading.values[series] for reading in readings if reading and series in reading.values)


def _said(series: Series, reading: Reading | None) -> str:
    return f"{reading.values.get(series)} of cgroup {reading.inode}" if reading else "no cgroup"
