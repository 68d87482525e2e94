"""What a collector says of pods, made once per document of the kubelet and given again at every collection.

The kubelet is asked once a minute, the agent every few seconds: between two answers the blocks are the same objects,
so that nothing is made or rendered again. Only the ages move.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from agent.collectors.selection import NOBODY, Cost, Selection, by_age
from agent.errors import Absent, Gone
from agent.model import Block, Declared, Family, Key, Value, Writer
from agent.sources.calls import Calls
from agent.sources.kubelet.slot import STALE_S, Document

if TYPE_CHECKING:  # the parsers load only with a kubelet
    from agent.sources.kubelet.pods import Pod
    from agent.sources.kubelet.summary import PodStats, Summary

T = TypeVar("T")


def current(document: Document[T] | None, path: str, calls: Calls) -> Document[T]:
    """The document, while it still speaks of the present. Raises Absent without one, Gone when it is too old."""
    if document is None:
        raise Absent(path, "the kubelet has not told")
    if calls.monotonic_s() - document.taken_s > STALE_S:
        raise Gone(path, f"the kubelet has not told for more than {STALE_S:.0f} s")
    return document


class Measured(NamedTuple):
    """A pod of the summary, and what ``/pods`` says of it: None where that is refused, or does not know it yet."""

    stats: PodStats
    pod: Pod | None

    @property
    def uid(self) -> str:
        """The one that its cgroup is named after: every collector knows that one."""
        return self.pod.cgroup_uid if self.pod else self.stats.uid

    @property
    def created_s(self) -> float | None:
        """Since when it is; a pod from a file of the node has no creation, but a start."""
        created_s = self.pod.created_s if self.pod else None
        return self.stats.started_s if created_s is None else created_s


def measured(summary: Summary, pods: Sequence[Pod], selection: Selection) -> list[Measured]:
    """The pods of the summary that are wanted, from the oldest to the youngest."""
    known = {pod.cgroup_uid: pod for pod in pods} | {pod.uid: pod for pod in pods}
    found = []
    for stats in summary.pods:
        pod = known.get(stats.uid)
        if selection.wanted(stats.namespace, None if pod is None else pod.labels):
            found.append(Measured(stats, pod))
    return sorted(found, key=lambda one: by_age(one.created_s, one.uid))


class Rows:
    """The series of pods, one by one: ``pod``, then ``add`` for everything that is this pod's.

    A series that is added again counts once, the first time: two pods may bear one name for a while.
    """

    __slots__ = ("_pod", "by_family", "costs")

    def __init__(self, reported: Sequence[Family]) -> None:
        self._pod = ""
        self.by_family: dict[Family, dict[Key, tuple[Value, str]]] = {family: {} for family in reported}
        self.costs: dict[str, Cost] = {}

    def pod(self, uid: str, namespace: str, created_s: float | None) -> None:
        """What is added from now on belongs to this pod."""
        self._pod = uid
        self.costs.setdefault(uid, Cost(namespace, created_s, 0))

    def add(self, family: Family, key: Key, value: Value | None) -> None:
        """One series of the pod, of a family that is reported. None is what nobody told: then there is none."""
        rows = self.by_family.get(family)
        if rows is not None and value is not None and key not in rows:
            rows[key] = (value, self._pod)
            cost = self.costs[self._pod]
            self.costs[self._pod] = cost._replace(series=cost.series + 1)


class _Made(NamedTuple):
    """What came of these documents: the rows, kept only for a budget, and the blocks without the dropped pods."""

    documents: Sequence[object]
    rows: Rows
    dropped: frozenset[str]
    blocks: Sequence[Block]


class PodSeries:
    """The blocks of one collector. Threads: any; a race makes the same blocks twice."""

    def __init__(self, collector: str, families: Declared, selection: Selection) -> None:
        self._collector = collector
        self._budget = selection.budget
        self._reported = tuple(f for f in families if isinstance(f, Family) and selection.reports(f))
        self._made = _Made((), Rows(self._reported), NOBODY, ())

    def reports(self, family: Family) -> bool:
        return family in self._reported

    def write(self, out: Writer, documents: Sequence[object], make: Callable[[Rows], None]) -> None:
        """The blocks of these documents; ``make`` adds their rows when they are others than last time."""
        made = self._made
        same = _same(documents, made.documents)
        rows = made.rows
        if not same:
            rows = Rows(self._reported)
            make(rows)
        dropped = self._budget.settle(out, self._collector, rows.costs) & rows.costs.keys()
        if not same or dropped != made.dropped:
            blocks = _blocks(rows, dropped, made.blocks)
            made = self._made = _Made(documents, rows if self._budget else Rows(()), dropped, blocks)
        for family, keys, values in made.blocks:
            out.many(family, keys, values)


def _same(documents: Sequence[object], others: Sequence[object]) -> bool:
    return len(documents) == len(others) and all(one is other for one, other in zip(documents, others, strict=True))


def _blocks(rows: Rows, dropped: frozenset[str], last: Sequence[Block]) -> list[Block]:
    """One block a family, in the declared order. Equal keys are one object, and the last one's while they are equal."""
    known = {block.keys: block.keys for block in last}
    blocks = []
    for family, by_key in rows.by_family.items():
        kept = {key: value for key, (value, pod) in by_key.items() if pod not in dropped}
        keys = tuple(kept)
        keys = known.setdefault(keys, keys)
        if keys:
            blocks.append(Block(family, keys, list(kept.values())))
    return blocks
