"""The node conditions as the kubelet will set them, which it serves nowhere itself.

A condition is set as soon as a threshold of it is met, a soft one before its grace is over, and stays until none has
been met for the transition period (pkg/kubelet/eviction/helpers.go). Pure: time is an argument.

The kubelet looks every 10 s and we every second: what was over between two of its looks is a condition here only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from agent.eviction.signals import SIGNALS, Condition

CONDITIONS: Final[tuple[Condition, ...]] = tuple(dict.fromkeys(condition for _, condition in SIGNALS.values()))


class Conditions:
    """``update`` with what is met now gives what is set now."""

    def __init__(self) -> None:
        self._met_s: dict[Condition, float] = {}

    def update(self, now_s: float, met: Iterable[Condition], transition_s: float) -> frozenset[Condition]:
        for condition in met:
            self._met_s[condition] = now_s
        return frozenset(condition for condition, at_s in self._met_s.items() if now_s - at_s < transition_s)
