"""The names under which eviction is told. One family for each unit, as a metric has one unit."""

from __future__ import annotations

from typing import Final

from agent.eviction.signals import Unit
from agent.model import Declared, Family

UNITS: Final[tuple[Unit, ...]] = ("bytes", "inodes", "pids")
WINDOW: Final = "1m"


def _by_unit(name: str, help: str, *labels: str) -> dict[Unit, Family]:
    return {unit: Family(f"headroom_eviction_{name}_{unit}", "gauge", help, labels) for unit in UNITS}


AVAILABLE = _by_unit(
    "available",
    "What is left of an eviction signal: as the kubelet's summary says, or directly read by the same arithmetic.",
    "signal",
    "source",
)
CAPACITY = _by_unit(
    "capacity", "What there is in all of an eviction signal: what percentages are of.", "signal", "source"
)
THRESHOLD = _by_unit(
    "threshold",
    "Where the kubelet starts to evict, as it computes it; origin says what its configuration was read from.",
    "signal",
    "kind",
    "origin",
)
LEAST = _by_unit("available_min", "The least that was left over the last minute, directly read.", "signal", "window")
MOST = _by_unit("available_max", "The most that was left over the last minute, directly read.", "signal", "window")
MARGIN = Family(
    "headroom_eviction_margin_ratio",
    "gauge",
    "What is left above the threshold, as a share of the capacity; below 0 the threshold is crossed.",
    ("signal", "kind", "source"),
)
CROSSED = Family(
    "headroom_eviction_threshold_crossed",
    "gauge",
    "1 from when less is left than the threshold until there is more than it and the minimum reclaim.",
    ("signal", "kind", "source"),
)
SECONDS_LEFT = Family(
    "headroom_eviction_seconds_to_threshold",
    "gauge",
    "An estimate of the time until the threshold is crossed; absent while it is not approached.",
    ("signal", "kind"),
)
AGE = Family(
    "headroom_eviction_stat_age_seconds",
    "gauge",
    "How long ago the statistic was taken that an eviction signal comes from.",
    ("signal", "source"),
)
RANK = Family(
    "headroom_eviction_rank",
    "gauge",
    "The order in which the kubelet would take pods for a signal, 1 first: by the statistics it has, or by fresh ones.",
    ("signal", "source", "namespace", "pod"),
)
LIMIT_EXCEEDED = Family(
    "headroom_eviction_local_storage_limit_exceeded",
    "gauge",
    "1 for a pod over a local storage limit of its own: the kubelet takes it before any other.",
    ("namespace", "pod", "limit"),
)
CONDITION = Family(
    "headroom_node_condition",
    "gauge",
    "1 while the kubelet has to say this of the node, by its thresholds and its transition period.",
    ("condition", "origin"),
)
MEMORY_DIFFERENCE = Family(
    "headroom_eviction_memory_difference_bytes",
    "gauge",
    "What lies between MemAvailable and the kubelet's memory.available, part by part: the parts add up to it.",
    ("part",),
)
EVENTS = Family(
    "headroom_eviction_events_total",
    "counter",
    "Events that the watch has written into its journal, by type and state.",
    ("type", "state"),
)
EVENTS_DROPPED = Family(
    "headroom_eviction_events_dropped_total",
    "counter",
    "Events that the journal has dropped, the oldest first, because it was full.",
)
FAMILIES: Final[Declared] = (
    *AVAILABLE.values(),
    *CAPACITY.values(),
    *THRESHOLD.values(),
    *LEAST.values(),
    *MOST.values(),
    MARGIN,
    CROSSED,
    SECONDS_LEFT,
    AGE,
    RANK,
    LIMIT_EXCEEDED,
    CONDITION,
    MEMORY_DIFFERENCE,
    EVENTS,
    EVENTS_DROPPED,
)
