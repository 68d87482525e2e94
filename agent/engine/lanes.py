"""Runs collectors so that none can hold up the others.

They run one after another on a *lane*, a thread, because any of them may be stuck in the kernel (a dead NFS server,
a driver that sleeps). One that takes longer than ``PATIENCE_S`` keeps its lane to itself, and the rest go on in
another. At its deadline it is given up: the stuck call keeps its one thread, and is not started again until it
returns. So whatever hangs, a run ends one deadline after its last collector was started.

Normally one lane does everything: one handover, about 50 us, whatever the number of collectors.
Threads: ``run`` by one thread at a time per flight; several flights may share the lanes.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from queue import SimpleQueue
from typing import Final, NamedTuple

from agent.errors import Defect, Overdue, SourceError
from agent.model import Block, Collector, Writer

PATIENCE_S: Final = 0.1


class Outcome(NamedTuple):
    """What one collector made of one collection. ``error`` is a whole failure, ``partial`` what it had to omit."""

    blocks: Sequence[Block]
    duration_s: float
    error: SourceError | None
    partial: Sequence[SourceError]


class _Flight:
    """One run: what is to do, what is being done since when, what came out."""

    __slots__ = ("changed", "closed", "lock", "outcomes", "pending", "running")

    def __init__(self, pending: Iterable[Collector]) -> None:
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.pending = deque(pending)
        self.running: dict[Collector, float] = {}
        self.outcomes: dict[Collector, Outcome] = {}
        self.closed = False


class Lanes:
    """The threads, and which collectors are stuck in one."""

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._lock = threading.Lock()
        self._idle = 0
        self._handovers: SimpleQueue[_Flight] = SimpleQueue()
        self._stuck: set[Collector] = set()

    def run(self, collectors: Sequence[Collector]) -> dict[Collector, Outcome]:
        """Each collector's outcome, at most a deadline after the last start. Stuck ones are not started again."""
        with self._lock:
            stuck = self._stuck.intersection(collectors)
        flight = _Flight(c for c in collectors if c not in stuck)
        self._wait(flight, started=self._hand_over(flight))
        for collector in stuck:
            flight.outcomes[collector] = _given_up(collector, 0.0, "still stuck in an earlier collection")
        return flight.outcomes

    def _wait(self, flight: _Flight, *, started: bool) -> None:
        with flight.changed:
            while started and (flight.pending or flight.running):
                flight.changed.wait(PATIENCE_S)
                now = time.monotonic()
                ages = [now - since for since in flight.running.values()]
                if flight.pending:
                    late = ages and min(ages) >= PATIENCE_S
                    if late and not self._hand_over(flight) and min(ages) >= self._deadline_s:
                        break
                elif ages and min(ages) >= self._deadline_s:
                    break
            flight.closed = True
            now = time.monotonic()
            for collector, since in flight.running.items():
                flight.outcomes[collector] = _given_up(collector, now - since, f"not done after {self._deadline_s} s")
            for collector in flight.pending:
                flight.outcomes[collector] = _given_up(collector, 0.0, "no thread could be started for it")
            with self._lock:
                self._stuck.update(flight.running)

    def _hand_over(self, flight: _Flight) -> bool:
        """To the idle lane or a new one. False on a node that is out of PIDs."""
        with self._lock:
            if self._idle:
                self._idle -= 1
                self._handovers.put(flight)
                return True
        try:
            threading.Thread(target=self._lane, name="lane", daemon=True).start()
        except RuntimeError:
            return False
        self._handovers.put(flight)  # and not to the thread itself, which would keep it as long as it lives
        return True

    def _lane(self) -> None:
        while True:
            flight = self._handovers.get()
            self._work(flight)
            del flight  # and with it the collectors, whose files would stay open for as long as this waits
            with self._lock:
                if self._idle:
                    return  # one idle lane is enough; this was a spare
                self._idle += 1

    def _work(self, flight: _Flight) -> None:
        while True:
            with flight.lock:
                if flight.closed or not flight.pending:
                    return
                collector = flight.pending.popleft()
                flight.running[collector] = started_s = time.monotonic()
            outcome = _attempt(collector, started_s)
            with flight.lock:
                if flight.closed:
                    with self._lock:
                        self._stuck.discard(collector)
                    return
                del flight.running[collector]
                flight.outcomes[collector] = outcome
                if not flight.pending and not flight.running:
                    flight.changed.notify()


def _attempt(collector: Collector, started_s: float) -> Outcome:
    out, error = Writer(), None
    try:
        collector.collect(out)
    except SourceError as caught:
        error = caught.kept()
    except Exception as caught:  # a defect of ours must cost one block, not the node's metrics
        error = Defect(collector.name, f"{type(caught).__name__}: {caught} in {_place(caught)}")
    return Outcome(() if error else out.blocks, time.monotonic() - started_s, error, out.errors)


def _place(error: BaseException) -> str:
    """File and line where an exception was raised."""
    trace, place = error.__traceback__, ""
    while trace:
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _given_up(collector: Collector, after_s: float, why: str) -> Outcome:
    return Outcome((), after_s, Overdue(collector.name, why), ())
