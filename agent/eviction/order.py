"""Who would go first, by the statistics that the kubelet has and by fresh ones; looked up when somebody asks.

What the kubelet's own documents give is ranked once for each of them. Our own reading costs a few files for each pod:
at rest it is as old as ``REST_S`` at most, and a second while the kubelet is asked often, as an eviction is near then.

Threads: any.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from agent.errors import SourceError
from agent.eviction import limits
from agent.eviction.direct import Direct
from agent.eviction.layout import Layout, layout_of
from agent.eviction.limits import Offender
from agent.eviction.ranking import (
    Candidate,
    candidates_direct_memory,
    candidates_direct_pids,
    candidates_from_summary,
    rank,
)
from agent.eviction.signals import ALLOCATABLE_MEMORY, MEMORY, PIDS, Source
from agent.sources.host import Host
from agent.sources.kubelet.slot import STALE_S

if TYPE_CHECKING:  # the parsers load only with a kubelet
    from agent.sources.kubelet.pods import Pod
    from agent.sources.kubelet.summary import Summary

REST_S: Final = 10.0
NEAR_S: Final = 1.0
BySignal = Mapping[str, Sequence[Candidate]]


class Standing(NamedTuple):
    """``ranks`` has a source only where it tells, and within it the signals that have a threshold."""

    ranks: dict[Source, BySignal]
    offenders: tuple[Offender, ...]


class _Told(NamedTuple):
    """What came of these documents, the same for as long as they are."""

    signals: tuple[str, ...]
    layout: Layout
    pods: tuple[Pod, ...]
    summary: Summary | None
    ranks: dict[str, list[Candidate]]
    offenders: tuple[Offender, ...]


class _Fresh(NamedTuple):
    """What our own reading gave, and when."""

    signals: tuple[str, ...]
    pods: tuple[Pod, ...]
    at_s: float
    ranks: dict[str, list[Candidate]]


class Order:
    def __init__(self, host: Host, direct: Direct) -> None:
        self._host = host
        self._direct = direct
        self._lock = threading.Lock()
        self._told = _Told((), "single", (), None, {}, ())
        self._fresh = _Fresh((), (), 0.0, {})

    def layout(self) -> Layout:
        """By the devices where we can see them, else by what the summary shows."""
        summary, places = self._summary(), self._direct.places
        dedicated = places.dedicated if places else None
        if summary is not None:
            return layout_of(summary.node, dedicated)
        return "dedicated" if dedicated else "single"

    def standing(self, signals: Iterable[str]) -> Standing:
        """Nobody where the kubelet does not tell its pods: what a pod asked for, only its specification says."""
        ranked = tuple(dict.fromkeys(signals))
        pods = self._pods()
        if pods is None:
            return Standing({}, ())
        with self._lock:
            ranks: dict[Source, BySignal] = {}
            summary = self._summary()
            if summary is not None:
                self._told = self._tell(ranked, pods, summary)
                ranks["kubelet"] = self._told.ranks
            if fresh := self._look(ranked, pods):
                ranks["direct"] = fresh
            return Standing(ranks, self._told.offenders if summary is not None else ())

    def _tell(self, signals: tuple[str, ...], pods: tuple[Pod, ...], summary: Summary) -> _Told:
        layout, last = self.layout(), self._told
        if last.pods is pods and last.summary is summary and (last.signals, last.layout) == (signals, layout):
            return last
        ranks = {s: rank(s, candidates_from_summary(s, pods, summary, layout)) for s in signals}
        return _Told(signals, layout, pods, summary, ranks, limits.offenders(pods, summary, layout))

    def _look(self, signals: tuple[str, ...], pods: tuple[Pod, ...]) -> dict[str, list[Candidate]]:
        now_s = self._host.calls.monotonic_s()
        last = self._fresh
        age_s = NEAR_S if self._host.kubelet.urgent else REST_S
        if last.signals != signals or last.pods is not pods or now_s - last.at_s >= age_s:
            last = self._fresh = _Fresh(signals, pods, now_s, self._now(signals, pods))
        return last.ranks

    def _now(self, signals: tuple[str, ...], pods: tuple[Pod, ...]) -> dict[str, list[Candidate]]:
        """Without what nobody knows fresher than the kubelet, and what cannot be read."""
        ranks: dict[str, list[Candidate]] = {}
        for ranked, read, candidates in (
            ((MEMORY, ALLOCATABLE_MEMORY), self._memory, candidates_direct_memory),
            ((PIDS,), self._processes, candidates_direct_pids),
        ):
            if wanted := [signal for signal in ranked if signal in signals]:
                try:
                    usages = read(pods)
                except SourceError:
                    continue
                if usages:
                    found = candidates(pods, usages)
                    ranks |= {signal: rank(signal, found) for signal in wanted}
        return ranks

    def _memory(self, pods: tuple[Pod, ...]) -> dict[str, int]:
        return self._direct.pod_memory()

    def _processes(self, pods: tuple[Pod, ...]) -> dict[str, int]:
        ids = {status.container_id for pod in pods for status in pod.statuses if status.container_id}
        return self._direct.pod_processes(ids)

    def _pods(self) -> tuple[Pod, ...] | None:
        document = self._host.kubelet.pods()
        return None if document is None or self._is_stale(document.taken_s) else document.value

    def _summary(self) -> Summary | None:
        document = self._host.kubelet.summary()
        return None if document is None or self._is_stale(document.taken_s) else document.value

    def _is_stale(self, taken_s: float) -> bool:
        return self._host.calls.monotonic_s() - taken_s > STALE_S
