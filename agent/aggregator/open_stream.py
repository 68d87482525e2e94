"""A stream while it is open: what it is owed, and how it ends."""

from __future__ import annotations

import asyncio
import math
from typing import NamedTuple

from agent.aggregator.commit import Ack, State, Welcome
from agent.aggregator.lanes import Key


class End(NamedTuple):
    """Why a stream is over: gRPC's name of the status, what it is counted as, and what the peer is told."""

    code: str
    reason: str
    text: str = ""


class OpenStream:
    """Ends once; what it is owed is replaced, never queued. In the loop's thread."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.node = ""
        self.goodbye = False
        self.end: End | None = None
        self.wake = asyncio.Event()
        self.reader: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._welcome: Welcome | None = None
        self._states: dict[Key, State] = {}

    def finish(self, end: End) -> None:
        self.end = self.end or end
        self.wake.set()

    def ends_at(self, when_s: float, end: End) -> None:
        """Unless it has ended by then; the last call counts. ``when_s`` is monotonic, infinite for never."""
        self.never_ends()
        if when_s < math.inf:
            self._timer = asyncio.get_running_loop().call_at(when_s, self.finish, end)

    def never_ends(self) -> None:
        if self._timer:
            self._timer.cancel()

    def owe(self, answer: Welcome | Ack) -> None:
        if isinstance(answer, Welcome):
            self._welcome = answer
        else:
            self._states.update((one.key, one) for one in answer.states)
        self.wake.set()

    def owed(self) -> list[Welcome | Ack]:
        self.wake.clear()
        welcome, self._welcome = self._welcome, None
        states, self._states = tuple(self._states.values()), {}
        return ([welcome] if welcome else []) + ([Ack(self.number, states)] if states else [])
