"""How far this node is from evicting pods, what is in the way, and who would go first.

Everything comes from the eviction watch, which looks once a second: a scrape costs no reading, but for the order of the
pods. ``source="direct"`` is our own reading, a second old; ``source="kubelet"`` what its summary said when it was last
asked, which is what it decides by. Without a kubelet there are the signals of the node, against Kubernetes' defaults.

The direct order is told for memory and pids alone: what a pod holds on disk nobody knows fresher than the kubelet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from agent.collectors import eviction_families as families
from agent.eviction.conditions import CONDITIONS
from agent.eviction.signals import Unit, unit
from agent.eviction.view import View
from agent.eviction.watch import Watch, watch_of
from agent.model import Declared, Family, Key, Part, Value, Writer
from agent.sources.host import Host

Rows = dict[Key, Value]
K = TypeVar("K", bound=Key)


class Eviction:
    name: Final = "eviction"
    part: Final[Part] = "headroom"
    families: Final[Declared] = families.FAMILIES

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._watch: Watch = watch_of(host, options)
        self._keys: dict[Family, tuple[Key, ...]] = {}

    def collect(self, out: Writer) -> None:
        view = self._watch.view()
        self._signals(out, view)
        self._thresholds(out, view)
        self._order(out, view)
        self._node(out, view)
        out.errors += self._watch.errors()

    def _signals(self, out: Writer, view: View) -> None:
        said = [(signal, source, one) for source, all in view.observations.items() for signal, one in all.items()]
        self._by_unit(out, families.AVAILABLE, {(signal, source): one.available for signal, source, one in said})
        self._by_unit(out, families.CAPACITY, {(signal, source): one.capacity for signal, source, one in said})
        for kinds, place in ((families.LEAST, 0), (families.MOST, 1)):
            self._by_unit(out, kinds, {(s, families.WINDOW): pair[place] for s, pair in view.extremes.items()})
        ages = {(signal, source): view.age_s(signal, source) for signal, source, _ in said}
        self._give(out, families.AGE, {key: age for key, age in ages.items() if age is not None})

    def _thresholds(self, out: Writer, view: View) -> None:
        margins = {(m.threshold.signal, m.threshold.kind, m.source): m for m in view.margins}
        # percentages are of what the kubelet takes for the capacity, where it told
        quantities: Rows = {
            (signal, kind, view.config.origin): margin.quantity
            for source in ("direct", "kubelet")
            for (signal, kind, of), margin in margins.items()
            if of == source
        }
        self._by_unit(out, families.THRESHOLD, quantities)
        self._give(out, families.MARGIN, {key: margin.ratio for key, margin in margins.items()})
        self._give(out, families.CROSSED, {key: int(margin.crossed) for key, margin in margins.items()})
        self._give(out, families.SECONDS_LEFT, view.seconds_left)

    def _order(self, out: Writer, view: View) -> None:
        order = self._watch.order(view)
        ranks: Rows = {}
        for source, by_signal in order.ranks.items():
            for signal, pods in by_signal.items():
                for place, pod in enumerate(pods, 1):
                    ranks.setdefault((signal, source, pod.namespace, pod.name), place)
        self._give(out, families.RANK, ranks)
        offenders: Rows = {(one.namespace, one.pod, one.limit): 1 for one in order.offenders}
        self._give(out, families.LIMIT_EXCEEDED, offenders)

    def _node(self, out: Writer, view: View) -> None:
        if view.margins:
            conditions: Rows = {(name, "derived"): int(name in view.conditions) for name in CONDITIONS}
            self._give(out, families.CONDITION, conditions)
        parts: Rows = {(part,): size for part, size in self._watch.memory().items()}
        self._give(out, families.MEMORY_DIFFERENCE, parts)
        journal = self._watch.journal
        self._give(out, families.EVENTS, journal.written.copy())
        out.one(families.EVENTS_DROPPED, journal.dropped)

    def _by_unit(self, out: Writer, kinds: Mapping[Unit, Family], rows: Mapping[Key, Value]) -> None:
        """Rows whose first label is the signal, each under the name with its unit."""
        for name, family in kinds.items():
            self._give(out, family, {key: value for key, value in rows.items() if unit(key[0]) == name})

    def _give(self, out: Writer, family: Family, rows: Mapping[K, Value]) -> None:
        keys: tuple[Key, ...] = tuple(rows)
        if self._keys.get(family) != keys:
            self._keys[family] = keys
        out.many(family, self._keys[family], list(rows.values()))
