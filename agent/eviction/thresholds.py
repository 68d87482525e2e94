"""Eviction thresholds: from what is configured to when one is met, as the kubelet computes it. Pure.

The facts are those of pkg/kubelet/eviction/helpers.go (ParseThresholdConfig, thresholdsMet and what they call).
A kubelet does not start with a threshold that it refuses. Here the others still stand, and what is refused is told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, Literal, NamedTuple, TypeVar

from agent.errors import Malformed
from agent.eviction.amounts import Amount, parse_limit, parse_reclaim
from agent.eviction.signals import (
    ALLOCATABLE_MEMORY,
    CONTAINERFS,
    CONTAINERFS_INODES,
    IMAGEFS,
    IMAGEFS_INODES,
    MEMORY,
    NODEFS,
    NODEFS_INODES,
    SIGNALS,
    Observation,
)

Kind = Literal["hard", "soft"]
Layout = Literal["single", "dedicated", "split"]
"""All on nodefs; images and containers on an imagefs of their own; or only the images, and containers on nodefs."""

PODS: Final = "pods"  # in enforceNodeAllocatable
_PLACES: Final = {signal: place for place, signal in enumerate(SIGNALS)}
_DERIVED: Final = {CONTAINERFS, CONTAINERFS_INODES}
_FROM_NODEFS: Final = {NODEFS: CONTAINERFS, NODEFS_INODES: CONTAINERFS_INODES}
_FROM_IMAGEFS: Final = {IMAGEFS: CONTAINERFS, IMAGEFS_INODES: CONTAINERFS_INODES}
_Given = TypeVar("_Given")
_Read = TypeVar("_Read")


class Threshold(NamedTuple):
    """``text`` is its value as it is written. ``reclaim`` is how much more must be free until it is no longer met."""

    signal: str
    kind: Kind
    quantity: int | None
    percentage: float | None
    grace_s: float = 0.0
    reclaim: Amount | None = None
    text: str = ""

    def quantity_of(self, capacity: int) -> int:
        """In the signal's unit."""
        return Amount(self.quantity, self.percentage).quantity_of(capacity)


class Parsed(NamedTuple):
    """What stands, in the order of the signals, and what was refused or is ignored, each in one line."""

    thresholds: tuple[Threshold, ...]
    refused: tuple[Malformed, ...]


def met(threshold: Threshold, observation: Observation, was_met: bool = False) -> bool:
    """Less is left than the threshold. One that was met stays met until its minimum reclaim is left on top of it.

    To the kubelet, a soft one was met only when its grace period had passed.
    """
    quantity = threshold.quantity_of(observation.capacity)
    if was_met and threshold.reclaim is not None:
        quantity += threshold.reclaim.quantity_of(observation.capacity)
    return quantity > observation.available


def parse_thresholds(
    hard: Mapping[str, str],
    soft: Mapping[str, str] = {},
    soft_grace_s: Mapping[str, float] = {},
    minimum_reclaim: Mapping[str, str] = {},
    enforced: Collection[str] = (),
) -> Parsed:
    """The settings evictionHard, evictionSoft, ... by signal. ``enforced`` is enforceNodeAllocatable.

    Those of containerfs are not in it: they follow from where the filesystems are, see ``with_containerfs``.
    """
    refused: list[Malformed] = []
    reclaims = _each("evictionMinimumReclaim", minimum_reclaim, parse_reclaim, refused)
    graces = _each("evictionSoftGracePeriod", soft_grace_s, _grace, refused)
    thresholds = [
        Threshold(signal, "hard", *amount, 0.0, reclaims.get(signal), hard[signal])
        for signal, amount in _limits("evictionHard", hard, refused).items()
    ]
    for signal, amount in _limits("evictionSoft", soft, refused).items():
        if signal in graces:
            thresholds.append(Threshold(signal, "soft", *amount, graces[signal], reclaims.get(signal), soft[signal]))
        elif signal not in soft_grace_s:
            refused.append(Malformed("evictionSoft", f"{signal} has no evictionSoftGracePeriod"))
    if PODS in enforced:
        thresholds += _allocatable(thresholds, refused)
    return Parsed(_in_order(thresholds), tuple(refused))


def with_containerfs(thresholds: Iterable[Threshold], layout: Layout) -> tuple[Threshold, ...]:
    """With those of containerfs, which are copies: of imagefs where that is dedicated, else of nodefs."""
    derived = _FROM_IMAGEFS if layout == "dedicated" else _FROM_NODEFS
    given = [one for one in thresholds if one.signal not in _DERIVED]
    copies = [one._replace(signal=derived[one.signal]) for one in given if one.signal in derived]
    return _in_order([*given, *copies])


def _grace(grace_s: float) -> float:
    if grace_s < 0:
        raise Malformed("grace period", "a negative one", f"{grace_s:g} s")
    return grace_s


def _each(
    setting: str, given: Mapping[str, _Given], read: Callable[[_Given], _Read | None], refused: list[Malformed]
) -> dict[str, _Read]:
    """Every value of a setting that can be read. None is one that says nothing."""
    values = {}
    for signal, value in given.items():
        if signal not in SIGNALS:
            refused.append(Malformed(setting, "no signal of the kubelet", signal))
            continue
        try:
            said = read(value)
        except Malformed as error:
            refused.append(Malformed(setting, f"{signal}: {error.detail}"))
            continue
        if said is not None:
            values[signal] = said
    return values


def _limits(setting: str, given: Mapping[str, str], refused: list[Malformed]) -> dict[str, Amount]:
    """Without those of containerfs, which the kubelet sets itself, whatever is written."""
    ignored = [signal for signal in given if signal in _DERIVED]
    refused += [Malformed(setting, f"{signal} is ignored: it cannot be configured") for signal in ignored]
    configurable = {signal: text for signal, text in given.items() if signal not in _DERIVED}
    return _each(setting, configurable, parse_limit, refused)


def _allocatable(thresholds: Iterable[Threshold], refused: list[Malformed]) -> list[Threshold]:
    """The limit of all pods together has the same hard threshold as the node's memory."""
    hard = {one.signal: one for one in thresholds if one.kind == "hard"}
    if MEMORY not in hard:
        return []
    if ALLOCATABLE_MEMORY in hard:
        detail = f"{ALLOCATABLE_MEMORY} is a duplicate: {MEMORY} sets it too, and whichever is met first evicts"
        refused.append(Malformed("evictionHard", detail))
        return []
    return [hard[MEMORY]._replace(signal=ALLOCATABLE_MEMORY)]


def _in_order(thresholds: Iterable[Threshold]) -> tuple[Threshold, ...]:
    return tuple(sorted(thresholds, key=lambda one: (_PLACES[one.signal], one.kind)))
