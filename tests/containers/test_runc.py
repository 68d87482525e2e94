"""Containers come and go while the agent is scraped: what it serves is what there is, and nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

import pytest

from tests.containers import lives, truth
from tests.containers.lifecycle import SLOTS, Kind, Lifecycle
from tests.containers.lives import Life, Scrape
from tests.containers.runc import Runc
from tests.peers.processes import Served, start_agent

pytestmark = pytest.mark.needs("root", "netns", "runc", "cgroup-v1-memory")

EVENTS: Final = 36
SCRAPE_EVERY_S: Final = 0.2
SEED: Final = 11
ROUNDS: Final = 16
ONLY_CONTAINERS: Final = "/metrics/cadvisor?collect[]=containers"
KINDS: Final = truth.kinds(truth.V1)


class Watched(NamedTuple):
    """A run that is over."""

    scrapes: list[Scrape]
    lives: list[Life]
    counts: dict[str, int]


def watch(seconds: float) -> Watched:
    """Scrapes five times a second while containers are started, made anew and removed."""
    with Runc() as runc, start_agent("--kubelet.cgroup-root", runc.root) as agent:
        lifecycle, stop = Lifecycle(runc, SEED), threading.Event()
        for slot in SLOTS[::2]:
            lifecycle.do("start", slot)
        worker = Worker(lifecycle, EVENTS, seconds / EVENTS, stop)
        worker.start()
        try:
            scrapes = list(every(SCRAPE_EVERY_S, seconds, agent, lifecycle, worker))
        finally:
            stop.set()
            worker.join()
        assert worker.error is None
        return Watched(scrapes, lifecycle.lives(), dict(lifecycle.counts))


class Worker(threading.Thread):
    """Runs a lifecycle, and keeps what went wrong."""

    def __init__(self, lifecycle: Lifecycle, events: int, interval_s: float, stop: threading.Event) -> None:
        super().__init__(name="lifecycle")
        self.error: Exception | None = None
        self._work = (lifecycle, events, interval_s, stop)

    def run(self) -> None:
        lifecycle, events, interval_s, stop = self._work
        try:
            lifecycle.run(events, interval_s, stop)
        except Exception as error:
            self.error = error


def every(interval_s: float, seconds: float, agent: Served, lifecycle: Lifecycle, worker: Worker) -> Iterator[Scrape]:
    """Scrapes at a fixed rate until the time is over and all has happened; one that is late is not made up for."""
    pace, end_s = threading.Event(), time.monotonic() + seconds
    while (start_s := time.monotonic()) < end_s or (worker.is_alive() and start_s < end_s + seconds):
        yield scrape(agent, lifecycle, "/metrics")
        pace.wait(max(0.0, start_s + interval_s - time.monotonic()))


def scrape(agent: Served, lifecycle: Lifecycle, path: str) -> Scrape:
    before = readings(lifecycle)
    asked_s = time.monotonic()
    body = agent.get(path)
    answered_s = time.monotonic()
    return Scrape(asked_s, answered_s, before, truth.served(body), readings(lifecycle))


def readings(lifecycle: Lifecycle) -> dict[str, lives.Reading]:
    found = ((path, truth.read_v1(path)) for path in lifecycle.live())
    return {path: reading for path, reading in found if reading}


@pytest.fixture(scope="module", params=[12.0, pytest.param(60.0, marks=pytest.mark.slow)], ids=["12 s", "60 s"])
def watched(request: pytest.FixtureRequest) -> Watched:
    return watch(request.param)


def test_the_run_was_what_it_should_be(watched: Watched) -> None:
    """Enough happened while enough was seen; else the other claims say little."""
    assert sum(watched.counts.values()) == EVENTS + len(SLOTS[::2])
    assert min(watched.counts.values()) >= 5
    spent_s = watched.scrapes[-1].end_s - watched.scrapes[0].start_s
    assert len(watched.scrapes) >= 0.8 * spent_s / SCRAPE_EVERY_S
    compared = sum(len(values.keys() & KINDS.keys()) for one in watched.scrapes for values in one.served.values())
    assert compared > 50 * len(watched.scrapes)


def test_there_is_no_ghost(watched: Watched) -> None:
    """No series of a container after its cgroup was gone, before there was one, or in another pod."""
    assert [found for one in watched.scrapes for found in lives.ghosts(one, watched.lives)] == []


def test_nobody_is_missing(watched: Watched) -> None:
    """A container that ran before a scrape began and after it ended is in it."""
    assert [found for one in watched.scrapes for found in lives.missing(one, watched.lives, truth.ALWAYS)] == []


def test_no_value_is_made_up(watched: Watched) -> None:
    """Every value is one that its file had during the scrape: no zero for what could not be read."""
    assert [found for one in watched.scrapes for found in lives.wrong(one, watched.lives, KINDS)] == []


def test_a_recreated_container_is_a_new_one(watched: Watched) -> None:
    """Its limit, which tells it from its predecessor of the same name, is its own, and its start time later."""
    assert [found for one in watched.scrapes for found in lives.limits(one, watched.lives, truth.LIMIT)] == []
    paths = [life.path for life in watched.lives]
    assert any(paths.count(path) > 2 for path in paths)
    for path in set(paths):
        started = [one.served[path][truth.STARTED] for one in watched.scrapes if path in one.served]
        assert started == sorted(started)


def test_what_is_half_made_is_not_kept() -> None:
    """A runtime makes one cgroup after the other and sets limits later, and so it removes them.

    What is read meanwhile is true at that moment, or not served; once a container runs, everything about it is right.
    """
    seen = []
    with Runc() as runc, start_agent("--kubelet.cgroup-root", runc.root) as agent:
        lifecycle = Lifecycle(runc, SEED)
        for round in range(ROUNDS):
            kinds: tuple[Kind, ...] = ("start", "recreate", "remove")
            for kind in kinds:
                worker = threading.Thread(target=lifecycle.do, args=(kind, SLOTS[round % len(SLOTS)]))
                worker.start()
                while worker.is_alive():
                    seen.append(scrape(agent, lifecycle, ONLY_CONTAINERS))
                seen.append(scrape(agent, lifecycle, ONLY_CONTAINERS))
        assert sum(bool(one.served) for one in seen) > 10 * ROUNDS
        assert judged(seen, lifecycle.lives()) == []


def judged(scrapes: list[Scrape], of: list[Life]) -> list[str]:
    return [
        found
        for one in scrapes
        for found in (
            *lives.ghosts(one, of),
            *lives.missing(one, of, truth.ALWAYS),
            *lives.limits(one, of, truth.LIMIT),
            *lives.wrong(one, of, KINDS),
        )
    ]
