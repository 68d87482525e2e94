"""Which pods and which metrics are reported, decided before anything is read or written for them.

One ``Selection`` is shared by every collector that reports containers or pods. It answers three questions:

* ``reports(family)``, once, when a collector is built: an excluded family costs nothing afterwards.
* ``wanted(namespace, labels)``, per pod, before it is read: by the regexps for namespaces and the lists for labels.
* ``budget.settle(...)``, once per collection, before blocks are written: which pods lose their series because their
  namespace has more than it may have. Whole pods, never single samples, and never silently.

A pod of which only a part is known: an include does not let it pass, an exclude does.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

from agent.collectors.filter import Filter
from agent.errors import ConfigError, SourceError
from agent.model import Family, FamilyRule, Writer
from agent.telemetry import Counter

DROPPED = Family(
    "headroom_series_dropped_total",
    "counter",
    "Series that collections left out, by the namespace of their pods and by reason: budget.",
    ("namespace", "reason"),
)
NOBODY: Final[frozenset[str]] = frozenset()


class OverBudget(SourceError):
    """A namespace has more series than it may have: its youngest pods lose theirs; said once at WARN."""

    reason = "budget"


class Cost(NamedTuple):
    """How many series a pod has in one collector. ``created_s`` is wall clock; None, where unknown, is the youngest."""

    namespace: str
    created_s: float | None
    series: int


class Selection:
    """What the settings below ``containers.`` select. Without settings: everything. Threads: any."""

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        given = options or {}
        self._metrics = Filter(given.get("metric-include", ""), given.get("metric-exclude", ""))
        self._namespaces = Filter(given.get("namespace-include", ""), given.get("namespace-exclude", ""))
        self._namespace_included = bool(given.get("namespace-include"))
        self._include = _pairs("label-include", given.get("label-include", ()))
        self._exclude = _pairs("label-exclude", given.get("label-exclude", ()))
        self.budget = Budget(given.get("series-per-namespace", 0))

    def reports(self, family: Family | FamilyRule) -> bool:
        """Whether a family is reported at all, by its name. Ask when the collector is built, not per collection."""
        return self._metrics.wanted(family.name)

    def wanted(self, namespace: str | None, labels: Mapping[str, str] | None) -> bool:
        """Whether a pod is reported. None is what nobody told: the namespace, the labels, or both.

        A container without a name is ``wanted(None, None)``; a pod known by a podRef, ``wanted(namespace, None)``.
        """
        if namespace is None:
            if self._namespace_included:
                return False
        elif not self._namespaces.wanted(namespace):
            return False
        if labels is None:
            return not self._include
        if self._exclude and _has_any(labels, self._exclude):
            return False
        return not self._include or _has_any(labels, self._include)


class Budget:
    """The most series that the pods of one namespace may have, over all collectors. 0 is no limit.

    Per namespace the oldest pods are kept (then by uid) until one does not fit; that one and all younger ones lose
    all their series. A pod that alone is over the budget loses its own and does not count against the others.
    Each collector settles with what its pods cost, so a new pod is judged by the collectors that have met it: what
    the last one adds is felt one collection later. Threads: any.
    """

    def __init__(self, series_max: int) -> None:
        self.series_max = series_max
        self.dropped_total: Final = Counter(DROPPED)
        self._lock = threading.Lock()
        self._costs: dict[str, dict[str, Cost]] = {}
        self._dropped = NOBODY

    def __bool__(self) -> bool:
        """Whether there is a limit at all: without one, nobody needs to count."""
        return self.series_max > 0

    @property
    def dropped(self) -> frozenset[str]:
        """The uids that lost their series at the last settling: they need not be read (see ``skipped``)."""
        return self._dropped

    def settle(
        self, out: Writer, collector: str, costs: Mapping[str, Cost], skipped: Collection[str] = ()
    ) -> frozenset[str]:
        """Takes what every pod of this collector costs, gives the pods that may not be written.

        Pods are known by the uid that their cgroup is named after (``Pod.cgroup_uid``).

        ``skipped`` are pods that are there but were not read, as they were in ``dropped``: they cost what they did.
        Counts what is lost, and reports it once per namespace through ``out``.
        """
        if not self:
            return NOBODY
        with self._lock:
            last = self._costs.get(collector, {})
            current = {**{uid: last[uid] for uid in skipped if uid in last}, **costs}
            if current != last:
                self._costs[collector] = current
                self._dropped = _dropped(self._costs.values(), self.series_max)
            dropped = self._dropped
        lost = [current[uid] for uid in dropped.intersection(current)]
        for cost in lost:
            self.dropped_total.inc(cost.namespace, "budget", by=cost.series)
        for namespace in sorted({cost.namespace for cost in lost}):
            with out.optional:
                raise OverBudget(f"namespace {namespace}", f"more than {self.series_max} series: youngest pods dropped")
        return dropped


def _dropped(costs: Iterable[Mapping[str, Cost]], series_max: int) -> frozenset[str]:
    """The pods over the budget of their namespace, all collectors together."""
    pods: dict[str, Cost] = {}
    for of_collector in costs:
        for uid, cost in of_collector.items():
            known = pods.get(uid)
            pods[uid] = cost if known is None else _sum(known, cost)
    dropped = set()
    taken: dict[str, int] = {}
    for uid in sorted(pods, key=lambda uid: by_age(pods[uid].created_s, uid)):
        namespace, _, series = pods[uid]
        if series > series_max:
            dropped.add(uid)
            continue
        taken[namespace] = taken.get(namespace, 0) + series  # never less again: after one, all younger ones are over
        if taken[namespace] > series_max:
            dropped.add(uid)
    return frozenset(dropped)


def _sum(one: Cost, other: Cost) -> Cost:
    known = [created for created in (one.created_s, other.created_s) if created is not None]
    return Cost(one.namespace, min(known, default=None), one.series + other.series)


def by_age(created_s: float | None, uid: str) -> tuple[float, str]:
    """Orders pods from the oldest to the youngest; one of unknown age is the youngest."""
    return (float("inf") if created_s is None else created_s, uid)


_Pairs = tuple[tuple[str, str | None], ...]


def _pairs(option: str, items: Iterable[str]) -> _Pairs:
    """``key=value``, or ``key`` for any value. Raises ConfigError."""
    pairs = []
    for item in items:
        key, equals, value = item.partition("=")
        if not key or not key.replace("-", "").replace("_", "").replace(".", "").replace("/", "").isalnum():
            raise ConfigError(f"--containers.{option}: {item!r} is neither key=value nor key")
        pairs.append((key, value if equals else None))
    return tuple(pairs)


def _has_any(labels: Mapping[str, str], pairs: _Pairs) -> bool:
    for key, value in pairs:
        found = labels.get(key)
        if found is not None and (value is None or value == found):
            return True
    return False


EVERYTHING: Final = Selection()


def selection_of(options: Mapping[str, Any]) -> Selection:
    """The selection that the collectors share, among a collector's options; everything where there is none."""
    selection = options.get("selection", EVERYTHING)
    assert isinstance(selection, Selection)
    return selection
