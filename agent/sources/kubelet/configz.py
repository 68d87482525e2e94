"""``/configz``: the configuration that the kubelet runs with, its defaults filled in.

Source: GET /configz by ``nodes/configz`` since 1.33. Since: Kubernetes 1.10. Shape: JSON, 3 kB.
Units: seconds, bytes, cores; thresholds as they are written (``100Mi``, ``10%``). Errors: Malformed.
Its ``cgroupDriver`` may differ from the one in force, which the kubelet may take from the runtime since 1.28.
Cost: less than 0.5 ms of the kubelet's CPU.
"""

from __future__ import annotations

from typing import NamedTuple

from agent.errors import Malformed
from agent.sources.kubelet.document import (
    Json,
    field_bool,
    field_object,
    field_text,
    field_texts,
    parse_document,
)
from agent.sources.kubelet.quantity import field_quantities
from agent.sources.kubelet.timestamp import field_duration, parse_duration


class Configz(NamedTuple):
    """The part of a KubeletConfiguration that evictions, cgroups and statistics depend on.

    The eviction maps are by signal (``memory.available``); an absent signal has no threshold. None of them is ever
    None: what a kubelet takes for one that its file lacks is filled in, by the kubelet or by ``config_file``.
    """

    eviction_hard: dict[str, str]
    eviction_soft: dict[str, str]
    eviction_soft_grace_s: dict[str, float]
    eviction_minimum_reclaim: dict[str, str]
    eviction_pressure_transition_s: float | None
    merge_default_eviction: bool
    volume_stats_period_s: float | None
    cgroup_driver: str
    cgroup_root: str
    kube_reserved: dict[str, float]
    system_reserved: dict[str, float]
    enforce_node_allocatable: tuple[str, ...]
    pod_logs_dir: str
    runtime_endpoint: str


def parse_configz(buf: bytes) -> Configz:
    """Shape: ``{"kubeletconfig": {...}}``."""
    config = field_object(parse_document(buf, "configz"), "kubeletconfig")
    if not config:
        raise Malformed("configz", "no kubeletconfig in it")
    return read_fields(config)


def read_fields(config: Json) -> Configz:
    """The fields of a KubeletConfiguration, from wherever it is; nothing is filled in."""
    return Configz(
        eviction_hard=field_texts(config, "evictionHard"),
        eviction_soft=field_texts(config, "evictionSoft"),
        eviction_soft_grace_s={
            signal: parse_duration(text) for signal, text in field_texts(config, "evictionSoftGracePeriod").items()
        },
        eviction_minimum_reclaim=field_texts(config, "evictionMinimumReclaim"),
        eviction_pressure_transition_s=field_duration(config, "evictionPressureTransitionPeriod"),
        merge_default_eviction=field_bool(config, "mergeDefaultEvictionSettings"),
        volume_stats_period_s=field_duration(config, "volumeStatsAggPeriod"),
        cgroup_driver=field_text(config, "cgroupDriver"),
        cgroup_root=field_text(config, "cgroupRoot"),
        kube_reserved=field_quantities(config, "kubeReserved"),
        system_reserved=field_quantities(config, "systemReserved"),
        enforce_node_allocatable=_names(config, "enforceNodeAllocatable"),
        pod_logs_dir=field_text(config, "podLogsDir"),
        runtime_endpoint=field_text(config, "containerRuntimeEndpoint"),
    )


def _names(owner: Json, name: str) -> tuple[str, ...]:
    given = owner.get(name)
    if given is None:
        return ()
    if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
        raise Malformed(name, "a list of texts expected", repr(given))
    return tuple(given)
