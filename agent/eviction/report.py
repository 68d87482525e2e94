"""A view of the watch as one JSON document: ``/api/v1/eviction``, ``headroom eviction --json``, and the table. Pure.

The names are those of the metrics. What is not known is null, or its source is not there; it is never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from agent.eviction.conditions import CONDITIONS
from agent.eviction.journal import Numbered
from agent.eviction.limits import Offender
from agent.eviction.ranking import Candidate
from agent.eviction.signals import SIGNALS, Source, unit
from agent.eviction.thresholds import Threshold
from agent.eviction.view import View
from agent.eviction.watch import Watch

Ranks = Mapping[Source, Mapping[str, Sequence[Candidate]]]
Report = dict[str, Any]
EVENTS: Final = 100  # the latest


def report_of(watch: Watch, node: str) -> Report:
    """What the watch knows now. Raises Overdue when it is stuck."""
    view = watch.view()
    standing = watch.order(view)
    events = watch.journal.after(0)[-EVENTS:]
    notes = list(_notes(view, watch, known=bool(standing.ranks)))
    return report(view, node, standing.ranks, standing.offenders, watch.memory(), events, notes)


def _notes(view: View, watch: Watch, known: bool) -> Iterator[str]:
    """What a reader should know of how this was found. ``known`` is whether the order of the pods is."""
    for name, place in watch.places().items():
        yield f"{name} is {place}."
    for name, reason in watch.unplaced().items():
        yield f"{name} was not found: {reason}. What is told of it is the kubelet's."
    if "kubelet" not in view.observations:
        order = "" if known else ", and nobody knows the order of the pods"
        yield f"No kubelet tells here: signals are our own reading{order}."
    for refused in view.config.refused:
        yield f"Refused, as a kubelet would: {refused}."
    for ours in view.margins:
        theirs = view.margin(ours.threshold.signal, ours.threshold.kind, "kubelet")
        if ours.source == "direct" and theirs is not None and theirs.crossed != ours.crossed:
            age_s = view.age_s(ours.threshold.signal, "kubelet")
            age = "" if age_s is None else f", {age_s:.0f} s old,"
            verdict = "does not show this crossing yet" if ours.crossed else "still shows a crossing that is over"
            yield f"{ours.threshold.signal}: the kubelet's statistic{age} {verdict}."


def report(
    view: View,
    node: str,
    ranks: Ranks,
    offenders: Iterable[Offender],
    memory: Mapping[str, int],
    events: Iterable[Numbered],
    notes: Sequence[str],
) -> Report:
    """``memory`` is the explanation of memory.available by its parts, empty where there is none."""
    return {
        "node": node,
        "time_seconds": view.time_s,
        "origin": view.config.origin,
        "signals": [_signal(view, signal, ranks) for signal in SIGNALS if _known(view, signal)],
        "conditions": {condition: condition in view.conditions for condition in CONDITIONS},
        "memory_difference_bytes": dict(memory),
        "limits_exceeded": [{"namespace": o.namespace, "pod": o.pod, "limit": o.limit} for o in offenders],
        "events": [_event(one) for one in events],
        "notes": list(notes),
    }


def _known(view: View, signal: str) -> bool:
    """Also one that cannot be observed, where the node's own configuration has a threshold for it."""
    configured = view.config.origin != "default" and any(one.signal == signal for one in view.config.thresholds)
    return configured or any(signal in said for said in view.observations.values())


def _signal(view: View, signal: str, ranks: Ranks) -> Report:
    sources: list[Source] = [source for source in ("direct", "kubelet") if signal in view.observations.get(source, {})]
    best = sources[0] if sources else None
    extremes = view.extremes.get(signal)
    ranked: dict[Source, Sequence[Candidate]] = {
        source: said[signal] for source, said in ranks.items() if said.get(signal)
    }
    order = ranked.get("direct") or ranked.get("kubelet") or ()
    return {
        "signal": signal,
        "unit": unit(signal),
        "source": best,
        "sources": {source: _observation(view, signal, source) for source in sources},
        "available_min_1m": extremes.least if extremes else None,
        "available_max_1m": extremes.most if extremes else None,
        "trend_per_second": view.trends.get(signal),
        "thresholds": [_threshold(view, one, best) for one in view.config.thresholds if one.signal == signal],
        "next": [{"namespace": pod.namespace, "pod": pod.name} for pod in order],
        "next_by_source": {
            source: [f"{pod.namespace}/{pod.name}" for pod in order_of] for source, order_of in ranked.items()
        },
    }


def _observation(view: View, signal: str, source: Source) -> Report:
    said = view.observations[source][signal]
    return {"available": said.available, "capacity": said.capacity, "age_seconds": view.age_s(signal, source)}


def _threshold(view: View, threshold: Threshold, source: Source | None) -> Report:
    margin = view.margin(threshold.signal, threshold.kind, source) if source else None
    return {
        "kind": threshold.kind,
        "text": threshold.text,
        "origin": view.config.origin,
        "grace_seconds": threshold.grace_s if threshold.kind == "soft" else None,
        "quantity": margin.quantity if margin else None,
        "margin": margin.available - margin.quantity if margin else None,
        "margin_ratio": margin.ratio if margin else None,
        "crossed": margin.crossed if margin else None,
        "seconds_to_threshold": view.seconds_left.get((threshold.signal, threshold.kind)),
    }


def _event(one: Numbered) -> Report:
    event = one.event
    return {
        "number": one.number,
        "time_seconds": event.time_s,
        "type": event.type,
        "state": event.state,
        "subject": event.subject,
        "detail": event.detail,
        "observed": event.observed,
        "threshold": event.threshold,
        "unit": event.unit,
        "attributes": dict(event.attributes),
    }
