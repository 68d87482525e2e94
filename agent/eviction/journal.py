"""What happened: a bounded list of events, numbered, for whoever delivers them.

An event that was not taken before the journal was full is dropped, the oldest first, and counted: a reader sees by the
numbers which ones it missed. Threads: any.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

Type = Literal["signal", "condition", "oom_kill", "eviction"]
State = Literal["crossed", "cleared", "occurred"]

KINDS: Final[tuple[tuple[Type, State], ...]] = (
    ("signal", "crossed"),
    ("signal", "cleared"),
    ("condition", "crossed"),
    ("condition", "cleared"),
    ("oom_kill", "occurred"),
    ("eviction", "occurred"),
)
EVENTS_MAX: Final = 1024
DETAIL_MAX: Final = 256


class Event(NamedTuple):
    """``subject`` is a signal, a condition, ``pod/<namespace>/<name>`` or ``node``; quantities are in ``unit``."""

    time_s: float
    type: Type
    state: State
    subject: str
    detail: str = ""
    observed: float | None = None
    threshold: float | None = None
    unit: str = ""
    attributes: tuple[tuple[str, str], ...] = ()


class Numbered(NamedTuple):
    """An event with its place among all that this process has seen, counted from 1."""

    number: int
    event: Event


class Journal:
    """``written`` counts all events by (type, state), also those that were dropped since; ``dropped`` only those.

    Each kind is counted from 0: of a counter that begins with its first event nobody sees that one.
    """

    def __init__(self, most: int = EVENTS_MAX) -> None:
        self._lock = threading.Lock()
        self._events: deque[Numbered] = deque(maxlen=most)
        self._last = 0
        self.tell: Callable[[], object] = bool  # called after each event, by whoever adds it
        self.dropped = 0
        self.written: dict[tuple[str, str], int] = dict.fromkeys(KINDS, 0)

    def add(self, event: Event) -> None:
        with self._lock:
            self._last += 1
            self.dropped += len(self._events) == self._events.maxlen
            self._events.append(Numbered(self._last, event._replace(detail=event.detail[:DETAIL_MAX])))
            self.written[event.type, event.state] += 1
        self.tell()

    def after(self, number: int) -> list[Numbered]:
        """The events later than that number that are still there, the oldest first."""
        with self._lock:
            return [one for one in self._events if one.number > number]
