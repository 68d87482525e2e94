"""``/configz``."""

from __future__ import annotations

import pytest

from agent.errors import Malformed
from agent.sources.kubelet.configz import Configz, parse_configz
from tests.kubelet.bodies import body

DEFAULTS = {
    "imagefs.available": "15%",
    "imagefs.inodesFree": "5%",
    "memory.available": "100Mi",
    "nodefs.available": "10%",
    "nodefs.inodesFree": "5%",
}


def test_the_defaults_are_filled_in() -> None:
    """A node without any eviction setting; what is not configured is absent."""
    assert parse_configz(body("idle", "configz")) == Configz(
        eviction_hard=DEFAULTS,
        eviction_soft={},
        eviction_soft_grace_s={},
        eviction_minimum_reclaim={},
        eviction_pressure_transition_s=300.0,
        merge_default_eviction=False,
        volume_stats_period_s=60.0,
        cgroup_driver="cgroupfs",
        cgroup_root="/rkube",
        kube_reserved={},
        system_reserved={},
        enforce_node_allocatable=("pods",),
        pod_logs_dir="/var/lib/rig/nodefs/pod-logs",
        runtime_endpoint="unix:///var/lib/rig/run/ctd.sock",
    )


def test_a_node_with_soft_thresholds_and_reservations() -> None:
    """Durations are seconds, reservations cores and bytes, thresholds stay as they are written."""
    config = parse_configz(body("memory-pressure", "configz"))
    assert config.eviction_soft == {"memory.available": "21871Mi"}
    assert config.eviction_soft_grace_s == {"memory.available": 60.0}
    assert config.eviction_minimum_reclaim == {"memory.available": "200Mi", "nodefs.available": "100Mi"}
    assert config.eviction_pressure_transition_s == 30.0
    assert config.kube_reserved == {"cpu": 0.1, "memory": 512 << 20}
    assert config.system_reserved == {"memory": 256 << 20}


@pytest.mark.parametrize(
    "buf",
    [
        b"{}",
        b'{"kubeletconfig": {}}',
        b'{"kubeletconfig": {"evictionHard": {"memory.available": 5}}}',
        b'{"kubeletconfig": {"kind": "x", "enforceNodeAllocatable": [1]}}',
        b'{"kubeletconfig": {"volumeStatsAggPeriod": "60"}}',
    ],
)
def test_another_document_is_malformed(buf: bytes) -> None:
    """A configuration without thresholds is not one that has none."""
    with pytest.raises(Malformed):
        parse_configz(buf)
