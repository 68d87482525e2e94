"""Asks the kubelet in the background and puts its documents where collectors find them.

Every 60 s at rest, every 10 s while an eviction is near: its own statistics are renewed every 10 s, and a summary of
100 pods costs the kubelet and the container runtime 42 ms of CPU, besides 6 ms of ours. ``/pods``, which costs it 4.5,
is asked alone for the names of new containers. What fails is counted by its reason, said once until it recovers, and
leaves the last good document in its place.

``/flagz``, which many do not serve, is asked after ``/configz`` and only where it is wanted: once for each start of the
kubelet, or every hour while it is refused.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from agent import log
from agent.errors import Malformed
from agent.sources.calls import Calls
from agent.sources.kubelet.client import Client
from agent.sources.kubelet.configz import parse_configz
from agent.sources.kubelet.endpoint import CONFIGZ, FLAGZ, PATHS, PODS, SUMMARY, Path
from agent.sources.kubelet.failure import Failed
from agent.sources.kubelet.flagz import parse_flagz
from agent.sources.kubelet.pods import parse_pods
from agent.sources.kubelet.slot import Document, Kubelet
from agent.sources.kubelet.summary import parse_summary
from agent.sources.kubelet.telemetry import KubeletTelemetry

URGENT_S: Final = 10.0
FLAGZ_REFUSED_S: Final = 3600.0
NOT_UP: Final = ("refused", "unreachable")


class Poller:
    """``failing`` is why, for each path whose last answer was none. Threads: ``run`` on one of its own; others any."""

    def __init__(
        self, kubelet: Kubelet, client: Client, calls: Calls, interval_s: float = 60.0, urgent_s: float = URGENT_S
    ) -> None:
        self.telemetry = KubeletTelemetry(kubelet, calls)
        self._kubelet = kubelet
        self._client = client
        self._calls = calls
        self._interval_s = interval_s
        self._urgent_s = min(urgent_s, interval_s)
        self.failing: dict[Path, Failed] = {}
        self._asked_s = dict.fromkeys(PATHS, float("-inf"))  # when the round began; of a configz only a good one
        self._flagz_due_s = float("-inf")
        self._flagz_refused = False
        self._stopped = False

    def start(self) -> threading.Thread:
        """A defect in here ends the thread, and by ``threading.excepthook`` the process."""
        thread = threading.Thread(target=self.run, name="kubelet", daemon=True)
        thread.start()
        return thread

    def run(self) -> None:
        while paths := self._due():
            self.round(paths)

    def stop(self) -> None:
        self._stopped = True
        self._kubelet.wake.set()

    def round(self, paths: Iterable[Path] = PATHS) -> None:
        """These, on one connection where that holds."""
        began_s = time.monotonic()
        for path in paths:
            good = self.ask(path)
            if good or path is not CONFIGZ:
                self._asked_s[path] = began_s
            if path is CONFIGZ:
                self._follow(began_s, good)
        self._client.close()

    def ask(self, path: Path) -> bool:
        """One document, counted and said whatever comes of it. Whether it came."""
        failure = self._ask(path)
        self._say(path, failure)
        return failure is None

    def _ask(self, path: Path) -> Failed | None:
        began_s = time.monotonic()
        failure: Failed | None = None
        try:
            fetch(self._kubelet, self._client, self._calls, path)
        except Failed as error:
            failure = error.kept()
        status = failure.status if failure else 200
        self.telemetry.answered(path.path, str(status) if status else "none", time.monotonic() - began_s)
        if failure:
            self.telemetry.failed(path.path, failure.cause)
        return failure

    def _follow(self, now_s: float, good: bool) -> None:
        """After a configuration the flags, where they are due. A kubelet that was away may come back with others."""
        if not good:
            self._flagz_due_s = float("-inf")
        elif self._kubelet.wants_flagz and now_s >= self._flagz_due_s:
            failure = self._ask(FLAGZ)
            self._flagz_due_s = now_s + FLAGZ_REFUSED_S if failure else float("inf")
            if failure and not self._flagz_refused:
                self._flagz_refused = True
                log.info(
                    "the kubelet does not tell its flags", path=FLAGZ.path, reason=failure.cause, error=failure.detail
                )

    def _say(self, path: Path, failure: Failed | None) -> None:
        before = self.failing.pop(path, None)
        if failure is None:
            if before is not None:
                log.info("the kubelet answers again", path=path.path)
            return
        self.failing[path] = failure
        if before is None or failure.cause != before.cause:
            hint = {"grant": f"get on {path.grant}"} if failure.cause == "forbidden" else {}
            log.warn(
                "no answer from the kubelet; what it last said stays in use",
                path=path.path,
                reason=failure.cause,
                error=failure.detail,
                **hint,
            )

    def _due(self) -> tuple[Path, ...]:
        """What is to be asked, as soon as there is something; nothing once it is stopped."""
        while not self._stopped:
            now_s, times = time.monotonic(), {path: self._due_s(path) for path in PATHS}
            if due := tuple(path for path in PATHS if times[path] <= now_s):
                return due
            self._kubelet.wake.wait(min(times.values()) - now_s)
            self._kubelet.wake.clear()
        return ()

    def _due_s(self, path: Path) -> float:
        """When to ask it next, however urgent it becomes never less than 10 s after the last time.

        Pods go with every summary, so that both tell of the same pods; the configuration goes with one.
        """
        due_s = self._asked_s[path] + (self._urgent_s if self._soon(path) else self._interval_s)
        if path is PODS:
            return min(due_s, self._due_s(SUMMARY))
        return max(due_s, self._due_s(SUMMARY)) if path is CONFIGZ else due_s

    def _soon(self, path: Path) -> bool:
        """A kubelet that is hardly up costs nobody anything; one that refuses to name is not pressed for names."""
        failure = self.failing.get(path)
        if failure is not None and failure.cause in NOT_UP:
            return True
        if path is PODS and self._kubelet.unnamed and failure is None:
            return True
        return path is not CONFIGZ and self._kubelet.urgent


def fetch(kubelet: Kubelet, client: Client, calls: Calls, path: Path) -> None:
    """Puts one document into the slot. Raises Failed."""
    taken_s, time_s = calls.monotonic_s(), calls.time_s()
    try:
        _PARSERS[path](kubelet, client.get(path.path, path.media_type), taken_s, time_s)
    except Malformed as error:
        raise Failed(path.path, "malformed", str(error), 200) from None


def _pods(kubelet: Kubelet, body: bytes, taken_s: float, time_s: float) -> None:
    kubelet.put_pods(Document(parse_pods(body), taken_s, time_s))


def _summary(kubelet: Kubelet, body: bytes, taken_s: float, time_s: float) -> None:
    kubelet.put_summary(Document(parse_summary(body), taken_s, time_s))


def _configz(kubelet: Kubelet, body: bytes, taken_s: float, time_s: float) -> None:
    kubelet.put_configz(Document(parse_configz(body), taken_s, time_s))


def _flagz(kubelet: Kubelet, body: bytes, taken_s: float, time_s: float) -> None:
    kubelet.put_flagz(Document(parse_flagz(body), taken_s, time_s))


_PARSERS: Final[dict[Path, Callable[[Kubelet, bytes, float, float], None]]] = {
    PODS: _pods,
    SUMMARY: _summary,
    CONFIGZ: _configz,
    FLAGZ: _flagz,
}
