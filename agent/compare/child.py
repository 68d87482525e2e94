"""The processes that take part, each with its log in a file, and what one of them has cost."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Final

from agent.errors import AgentError

PR_SET_PDEATHSIG: Final = 1  # prctl.h
CPUCLOCK_SCHED: Final = 2  # linux/posix-timers.h: utime and stime of all its threads, also of those that have ended
STOP_S: Final = 5.0


class ChildError(AgentError):
    """A process that did not start, or ended before it was to."""


class Child:
    """One process, with a group of its own: Ctrl-C reaches it through us. It never outlives us."""

    def __init__(self, name: str, command: Sequence[str], directory: str) -> None:
        """To be called where no other thread runs. Raises ChildError."""
        self.name = name
        self._log = os.path.join(directory, f"{name}.log")
        mine = {key: value for key, value in os.environ.items() if not key.startswith("HEADROOM_")}
        with open(self._log, "wb") as log, open(os.path.join(directory, f"{name}.out"), "wb") as out:
            self._process = _started(name, command, mine, out, log)

    def wait_for(self, pattern: str, pause: Callable[[float], None], seconds: float) -> re.Match[str]:
        """The first match in its log. Raises ChildError."""
        until_s = time.monotonic() + seconds
        while not (found := re.search(pattern, self.log())):
            self.check()
            if time.monotonic() > until_s:
                raise ChildError(f"{self.name} was not ready within {seconds:g} s; it said: {self._said()}")
            pause(0.02)
        return found

    def check(self) -> None:
        """Raises ChildError when it has ended."""
        status = self._process.poll()
        if status is not None:
            how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
            raise ChildError(f"{self.name} {how}; it said: {self._said()}")

    def log(self) -> str:
        with open(self._log, errors="replace") as file:
            return file.read()

    def _said(self) -> str:
        """The last error in its log, else the last line."""
        lines = [line.strip()[:500] for line in self.log().split("\n") if line.strip()]
        errors = [line for line in lines if "level=error" in line.lower()]
        return (errors or lines or ["nothing"])[-1]

    def cpu_s(self) -> float:
        """User and system time since it began: that of /proc/PID/stat, in nanoseconds instead of ticks."""
        try:
            return time.clock_gettime(~self._process.pid << 3 | CPUCLOCK_SCHED)
        except OSError as error:
            self.check()
            raise ChildError(f"{self.name}: its CPU time cannot be read: {error.strerror}") from None

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self.thaw()  # one that stands still would not notice

    def end(self, until_s: float) -> None:
        """Waits until then, and kills it."""
        try:
            self._process.wait(max(0.0, until_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def end_all(children: Sequence[Child]) -> None:
    """The last that was started ends first."""
    for child in reversed(children):
        child.terminate()
    until_s = time.monotonic() + STOP_S
    for child in children:
        child.end(until_s)


def _started(
    name: str, command: Sequence[str], environment: Mapping[str, str], out: IO[bytes], log: IO[bytes]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=log,
            process_group=0,
            preexec_fn=_die_with_parent(),
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ChildError(f"{name}: {command[0]} cannot be started: {error}") from None


def _die_with_parent() -> Callable[[], object]:
    """What the child calls before it begins. By SIGKILL, as one that stands still hears no other."""
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
