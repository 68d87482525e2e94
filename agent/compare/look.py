"""What a reader saw."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Look(NamedTuple):
    """At ``time_s`` the newest batch of a node was ``batch_s``, which is the time that its clock had."""

    time_s: float
    batch_s: float

    @property
    def age_s(self) -> float:
        return self.time_s - self.batch_s


class Pushed(NamedTuple):
    """A batch that was seen at an aggregator: how many samples it has, and how old it was when it came."""

    samples: int
    came_after_s: float


Ask = Callable[[], dict[str, Look]]  # what there is to see, by node; raises AskError
