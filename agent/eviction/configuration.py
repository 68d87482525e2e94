"""Which thresholds are in force, and who says so. Pure.

In this order: what the kubelet answers on ``/configz``, taken as it is; its file with its flags on top of it; what a
kubelet does by default on Linux. A kubelet that lacks a setting is not one that has its default: with any evictionHard
the signals that it does not name have no threshold. That is settled before: by the kubelet, and by ``config_file``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple

from agent.errors import Malformed
from agent.eviction.thresholds import Threshold, parse_thresholds
from agent.sources.kubelet.config_file import DEFAULT_ENFORCED, DEFAULT_EVICTION_HARD
from agent.sources.kubelet.configz import Configz, read_fields
from agent.sources.kubelet.timestamp import parse_duration

Origin = Literal["configz", "file", "default"]

TRANSITION_S: Final = 300.0
DEFAULT: Final = read_fields(
    {"evictionHard": dict(DEFAULT_EVICTION_HARD), "enforceNodeAllocatable": list(DEFAULT_ENFORCED)}
)
_IGNORES_ALLOCATABLE: Final = "experimental-allocatable-ignore-eviction"
_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})


class EvictionConfig(NamedTuple):
    """``thresholds`` are without those of containerfs, see ``with_containerfs``."""

    thresholds: tuple[Threshold, ...]
    transition_s: float
    origin: Origin
    refused: tuple[Malformed, ...]


def choose(configz: Configz | None, file: Configz | None, flags: Mapping[str, str] | None = None) -> EvictionConfig:
    """``file`` is of ``read_config_file``, ``flags`` of the kubelet's process; None is what could not be had."""
    given = flags or {}
    ignores_allocatable = given.get(_IGNORES_ALLOCATABLE, "") in _TRUE  # a flag only, and in no configz
    if configz is not None:
        return evaluate(configz, "configz", (), ignores_allocatable)
    if file is not None:
        config, refused = with_flags(file, given)
        return evaluate(config, "file", refused, ignores_allocatable)
    config, refused = with_flags(DEFAULT, given)
    return evaluate(config, "default" if config == DEFAULT else "file", refused, ignores_allocatable)


def evaluate(
    config: Configz, origin: Origin, refused: tuple[Malformed, ...] = (), ignores_allocatable: bool = False
) -> EvictionConfig:
    """What a configuration says, and what of it was refused."""
    parsed = parse_thresholds(
        config.eviction_hard,
        config.eviction_soft,
        config.eviction_soft_grace_s,
        config.eviction_minimum_reclaim,
        () if ignores_allocatable else config.enforce_node_allocatable,
    )
    transition_s = config.eviction_pressure_transition_s
    return EvictionConfig(
        parsed.thresholds,
        TRANSITION_S if transition_s is None else max(0.0, transition_s),
        origin,
        refused + parsed.refused,
    )


def with_flags(config: Configz, flags: Mapping[str, str]) -> tuple[Configz, tuple[Malformed, ...]]:
    """Every flag replaces its whole setting, defaults included; one that cannot be read replaces nothing."""
    refused = []
    for name, (field, read) in _FLAGS.items():
        if name in flags:
            try:
                config = config._replace(**{field: read(flags[name])})
            except Malformed as error:
                refused.append(Malformed(f"--{name}", error.detail))
    return config, tuple(refused)


def _limits(text: str) -> dict[str, str]:
    return _pairs(text, "<")


def _reclaims(text: str) -> dict[str, str]:
    return _pairs(text, "=")


def _graces(text: str) -> dict[str, float]:
    return {signal: parse_duration(period) for signal, period in _pairs(text, "=").items()}


def _pairs(text: str, separator: str) -> dict[str, str]:
    """Shape: ``memory.available<100Mi,nodefs.available<10%``; nothing between commas is nothing."""
    pairs = {}
    for pair in text.split(","):
        name, found, value = pair.partition(separator)
        if pair and not found:
            raise Malformed("flag", f"pairs with {separator!r} expected", pair)
        if pair:
            pairs[name.strip()] = value.strip()
    return pairs


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


_FLAGS: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    "eviction-hard": ("eviction_hard", _limits),
    "eviction-soft": ("eviction_soft", _limits),
    "eviction-soft-grace-period": ("eviction_soft_grace_s", _graces),
    "eviction-minimum-reclaim": ("eviction_minimum_reclaim", _reclaims),
    "eviction-pressure-transition-period": ("eviction_pressure_transition_s", parse_duration),
    "enforce-node-allocatable": ("enforce_node_allocatable", _names),
}
