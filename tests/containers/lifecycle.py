"""Containers that come, are made anew and go, and a book of when each of their cgroups can have existed."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from tests.containers.lives import Life
from tests.containers.runc import Runc, Slot, Workload

Kind = Literal["start", "recreate", "remove"]

MEMORY_BYTES: Final = 32 << 20
PAGE_BYTES: Final = 4096
QUOTA_US: Final = 2000
BUSY: Final = "while :; do :; done"
BRIEF: Final = "i=0; while [ $i -lt {loops} ]; do i=$((i+1)); done; exec sleep 1000"
LOOPS_MAX: Final = 50_000
SLOTS: Final = tuple(
    Slot(f"{pod}{pod}000000-0000-4000-8000-00000000000{pod}", f"{pod}{letter}" * 32, qos)
    for pod, qos in (("1", "burstable"), ("2", "burstable"), ("3", "guaranteed"), ("4", "besteffort"))
    for letter in "ab"
)


class Lifecycle:
    """Does things to containers. Threads: ``live`` may be asked by another one."""

    def __init__(self, runc: Runc, seed: int) -> None:
        self.runc = runc
        self.counts: dict[Kind, int] = {"start": 0, "recreate": 0, "remove": 0}
        self._random = random.Random(seed)
        self._live: dict[Slot, Life] = {}
        self._past: list[Life] = []
        self._made = 0

    def run(self, events: int, interval_s: float, stop: threading.Event) -> None:
        """One event after the other; an interval that is over already is not made up for."""
        for kind, slot in self._plan(events):
            began_s = time.monotonic()
            self.do(kind, slot)
            if stop.wait(max(0.0, began_s + interval_s - time.monotonic())):
                return

    def do(self, kind: Kind, slot: Slot) -> None:
        self.counts[kind] += 1
        if kind != "start":
            self._remove(slot)
        if kind == "remove":
            if not any(other.pod_uid == slot.pod_uid for other in self._live):
                self.runc.remove_pod(slot)
        else:
            self._start(slot)

    def live(self) -> Sequence[str]:
        """The paths of the containers there are."""
        return [life.path for life in list(self._live.values())]

    def lives(self) -> list[Life]:
        return [*self._past, *self._live.values()]

    def _start(self, slot: Slot) -> None:
        """Each life has a memory limit of its own, which tells it from the others of its path."""
        self._made += 1
        memory_bytes = MEMORY_BYTES + self._made * PAGE_BYTES
        loops = self._random.randrange(LOOPS_MAX)
        if self._made % 2:
            workload = Workload(BUSY, memory_bytes, QUOTA_US)
        else:
            workload = Workload(BRIEF.format(loops=loops), memory_bytes)
        life = Life(self.runc.path(slot), memory_bytes, begun_s=time.monotonic())
        self._live[slot] = life
        self.runc.start(slot, workload)
        self._live[slot] = life._replace(up_s=time.monotonic())

    def _remove(self, slot: Slot) -> None:
        life = self._live[slot]._replace(ending_s=time.monotonic())
        self._live[slot] = life
        self.runc.remove(slot)
        self._past.append(life._replace(gone_s=time.monotonic()))
        del self._live[slot]

    def _plan(self, events: int) -> Iterator[tuple[Kind, Slot]]:
        """What may happen next, at random but with half of the containers there on average."""
        for _ in range(events):
            slot = self._random.choice(SLOTS)
            if slot not in self._live:
                yield "start", slot
            else:
                yield ("recreate" if self._random.random() < 0.6 else "remove"), slot
