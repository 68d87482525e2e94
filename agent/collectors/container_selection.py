"""What of the containers' series is reported: pods by namespace and label, families by name, a budget by namespace.

Pods that are not wanted are not read at all. Families that are not reported are read with their siblings of the same
file and left out; the budget needs the series to count them, so pods over it are read and left out too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from agent.collectors.selection import Cost, Selection
from agent.model import Block, Declared, Writer
from agent.sources.cgroup.tree import Scan

if TYPE_CHECKING:
    from agent.collectors.container_names import Names


class ContainerSelection:
    """A ``Selection`` for blocks whose label ``id`` is a cgroup's path. Threads: one at a time."""

    def __init__(self, collector: str, families: Declared, selection: Selection) -> None:
        self._collector: Final = collector
        self._selection = selection
        self._left_out = frozenset(family for family in families if not selection.reports(family))

    def apply(self, out: Writer, scan: Scan, names: Names) -> None:
        """Takes out of ``out`` what is not to be reported."""
        if self._left_out:
            out.blocks[:] = [block for block in out.blocks if block.family not in self._left_out]
        if not self._selection.budget:
            return
        uids = {group.path: group.pod_uid for group in scan.containers} | {pod.path: pod.uid for pod in scan.pods}
        dropped = self._selection.budget.settle(out, self._collector, _costs(out.blocks, uids, names))
        if dropped:
            out.blocks[:] = [kept for block in out.blocks if (kept := _without(block, uids, dropped)).keys]


def _costs(blocks: list[Block], uids: Mapping[str, str], names: Names) -> dict[str, Cost]:
    """How many series each pod has here."""
    series: Counter[str] = Counter()
    for family, keys, _ in blocks:
        place = family.labels.index("id")
        series.update(uids[key[place]] for key in keys if key[place] in uids)
    return {uid: Cost(names.pod(uid)[0], _created_s(names, uid), number) for uid, number in series.items()}


def _created_s(names: Names, uid: str) -> float | None:
    pod = names.pods.get(uid)
    return pod.created_s if pod else None


def _without(block: Block, uids: Mapping[str, str], dropped: frozenset[str]) -> Block:
    place = block.family.labels.index("id")
    kept = [i for i, key in enumerate(block.keys) if uids.get(key[place]) not in dropped]
    if len(kept) == len(block.keys):
        return block
    return Block(block.family, tuple(block.keys[i] for i in kept), [block.values[i] for i in kept])
