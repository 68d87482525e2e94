"""The newest events of each node, in memory: what the API lists. The store has them all."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from heapq import merge
from itertools import islice
from typing import Final

from agent.wire.events import Told

EVENTS_MAX: Final = 256  # of one node: it cannot push out those of another


class Events:
    """Each once, by the time at which it happened. Not shared between threads."""

    def __init__(self) -> None:
        self._by_node: dict[str, list[Told]] = {}

    def add(self, node: str, told: Told) -> None:
        """One that comes again is the same."""
        known = self._by_node.setdefault(node, [])
        if told not in known:
            insort(known, told, key=_when)
            del known[:-EVENTS_MAX]

    def newest(self, nodes: set[str], most: int) -> Iterator[tuple[str, Told]]:
        """Of these nodes, the newest first."""
        lists = ([(node, told) for told in reversed(self._by_node.get(node, ()))] for node in nodes)
        return islice(merge(*lists, key=lambda one: _when(one[1]), reverse=True), most)

    def forget(self, node: str) -> None:
        self._by_node.pop(node, None)


def _when(told: Told) -> int:
    return told.unix_ms
