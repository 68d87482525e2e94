"""Turns what changed from one look to the next into events.

A threshold that is crossed at the first look is an event too: whoever reads the journal must not take it for calm. Pods
that were evicted before the first look are not: nobody can tell when.

A crossing is told at once, its end only when it has lasted for ``CALM_S``: a signal that stands on its threshold would
cross it and come back every second, and push all other events out of the journal. Threads: one at a time.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from agent import log
from agent.errors import SourceError
from agent.eviction import evictions
from agent.eviction.configuration import EvictionConfig, Origin
from agent.eviction.journal import DETAIL_MAX, Event, Journal
from agent.eviction.margins import Margin
from agent.eviction.oom import OomKill, OomKills
from agent.eviction.signals import Condition, unit
from agent.sources.cgroup.tree import pod_uid
from agent.sources.host import Host

if TYPE_CHECKING:  # the parsers load only with a kubelet
    from agent.sources.kubelet.pods import Pod


CALM_S: Final = 10.0  # the kubelet's interval: of what was over for less than that, it may have seen nothing


class Chronicle:
    """Everything that happens goes through here into ``journal``, and one line of it into the log."""

    def __init__(self, host: Host, oom: OomKills) -> None:
        self.journal = Journal()
        self._kubelet = host.kubelet
        self._calls = host.calls
        self._oom = oom
        self._crossed: dict[tuple[str, str], Origin] = {}  # by signal and kind, and by whose configuration
        self._clearing: dict[tuple[str, str], tuple[float, Event]] = {}
        self._conditions: frozenset[Condition] = frozenset()
        self._pods: object = None
        self._evicted: frozenset[str] | None = None

    @property
    def crossed(self) -> bool:
        return bool(self._crossed)

    def note_margins(self, margins: Iterable[Margin], config: EvictionConfig, time_s: float) -> None:
        """Crossings and clearings. A threshold whose signal is not observed any more stays as it was.

        What another configuration made of the node is cleared at once, also where there is no such threshold any more.
        An event has the time at which what it tells began.
        """
        now_s = self._calls.monotonic_s()
        for margin in margins:
            name = (margin.threshold.signal, margin.threshold.kind)
            if margin.crossed:
                self._clearing.pop(name, None)
                if name not in self._crossed:
                    self._add(_crossing(margin, config.origin, time_s))
                self._crossed[name] = config.origin
            elif name in self._crossed:
                began_s, event = self._clearing.setdefault(name, (now_s, _crossing(margin, config.origin, time_s)))
                if now_s - began_s >= CALM_S or self._crossed[name] != config.origin:
                    self._clear(name, event)
        for signal, kind in sorted(self._crossed.keys() - {(one.signal, one.kind) for one in config.thresholds}):
            attributes = (("kind", kind), ("origin", config.origin))
            detail = f"no {kind} threshold any more"
            self._clear((signal, kind), Event(time_s, "signal", "cleared", signal, detail, attributes=attributes))

    def _clear(self, name: tuple[str, str], event: Event) -> None:
        del self._crossed[name]
        self._clearing.pop(name, None)
        self._add(event)

    def note_conditions(self, now_set: frozenset[Condition], time_s: float) -> None:
        for name in sorted(now_set ^ self._conditions):
            self._add(Event(time_s, "condition", "crossed" if name in now_set else "cleared", name))
        self._conditions = now_set

    def note_pods(self, time_s: float) -> None:
        """Looks only when the kubelet has told anew."""
        document = self._kubelet.pods()
        if document is None or document is self._pods:
            return
        self._pods = document
        if self._evicted is not None:
            for event in evictions.events(self._evicted, document.value, time_s):
                self._add(event)
        self._evicted = frozenset(one.uid for one in evictions.evicted(document.value))

    def note_oom_kills(self, time_s: float) -> SourceError | None:
        """The reason when they cannot be counted here."""
        try:
            for kill in self._oom.poll():
                self._add(self._oom_event(kill, time_s))
        except SourceError as error:
            return error.kept()
        return None

    def _oom_event(self, kill: OomKill, time_s: float) -> Event:
        attributes = [("cgroup", kill.cgroup)] if kill.cgroup else []
        subject = "node"
        for pod, container in self._whose(kill):
            subject = f"pod/{pod.namespace}/{pod.name}"
            attributes += [("namespace", pod.namespace), ("pod", pod.name)]
            attributes += [("container", container)] if container else []
        if kill.command:
            attributes.append(("command", kill.command))
        detail = f"{kill.processes} killed" if kill.pid is None else f"process {kill.pid} killed"
        return Event(time_s, "oom_kill", "occurred", subject, detail, attributes=tuple(attributes))

    def _whose(self, kill: OomKill) -> Iterable[tuple[Pod, str]]:
        """The pod and the name of its container; the container is empty when only its pod is known."""
        document = self._kubelet.pods()
        for pod in document.value if document else ():
            names = [s.name for s in pod.statuses if s.container_id and s.container_id == kill.container_id]
            if names or _is_pod(pod, kill.cgroup):
                return [(pod, names[0] if names else "")]
        return []

    def _add(self, event: Event) -> None:
        self.journal.add(event)
        urgent = event.type != "condition" and event.state != "cleared"
        (log.warn if urgent else log.info)(
            f"{event.type.replace('_', ' ')} {event.state}", subject=event.subject, detail=event.detail[:DETAIL_MAX]
        )


def _crossing(margin: Margin, origin: Origin, time_s: float) -> Event:
    threshold = margin.threshold
    grace = f", grace {threshold.grace_s:.0f} s" if threshold.kind == "soft" else ""
    return Event(
        time_s,
        "signal",
        "crossed" if margin.crossed else "cleared",
        threshold.signal,
        f"{threshold.kind} threshold{grace}, by {margin.source}",
        margin.available,
        margin.quantity,
        unit(threshold.signal),
        (("kind", threshold.kind), ("source", margin.source), ("origin", origin)),
    )


def _is_pod(pod: Pod, cgroup: str) -> bool:
    """Whether a cgroup is the pod's or below it."""
    parents = ["", *cgroup.split("/")]
    return any(pod_uid(name, parent) == pod.cgroup_uid for parent, name in pairwise(parents))
