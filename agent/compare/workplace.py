"""Where an experiment runs: a directory, processes and links that end with it, and a main thread that can be stopped.

Nothing waits but here, so that a signal, or a process that ended, is noticed within a tenth of a second.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import Final, Self

from agent.compare.child import Child, end_all
from agent.compare.link import Links
from agent.errors import AgentError

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_S: Final = 0.1
PATIENCE_S: Final = 0.02


class Interrupted(AgentError):
    """Somebody wants it to end."""


class Workplace:
    """``with`` leaves nothing behind. To be used in the main thread."""

    def __init__(self) -> None:
        self.links = Links()
        self.children: list[Child] = []
        self._wanted: int | None = None
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]  # as nohup has it
        self._before = [(number, signal.signal(number, self._interrupt)) for number in heard]
        self.directory = tempfile.mkdtemp(prefix="headroom-compare-")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        try:
            end_all(self.children)
        finally:
            self.links.close()
            shutil.rmtree(self.directory, ignore_errors=True)
            for number, handler in self._before:
                signal.signal(number, handler)

    def _interrupt(self, number: int, _: FrameType | None) -> None:
        """Not an exception: it would come anywhere, and a process just started would be forgotten."""
        self._wanted = number
        self._stop.set()

    def check(self) -> None:
        """Raises Interrupted, ChildError."""
        if self._wanted is not None:
            raise Interrupted(f"ended by {signal.Signals(self._wanted).name}, before there was anything to tell")
        for child in self.children:
            child.check()

    def start(self, name: str, command: Sequence[str]) -> Child:
        child = Child(name, command, self.directory)
        self.children.append(child)
        return child

    def pause(self, seconds: float) -> None:
        self._stop.wait(seconds)
        self.check()

    def wait_until(self, unix_s: float) -> None:
        while (left_s := unix_s - time.time()) > 0:
            self.pause(min(LOOK_S, left_s))
        self.check()

    def wait_for(self, condition: Callable[[], object], seconds: float, what: str) -> None:
        """Raises AgentError when it does not come to that in time."""
        until_s = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until_s:
                raise AgentError(f"{what}: not within {seconds:.0f} s")
            self.pause(PATIENCE_S)
