"""On the real machine: what crosses a threshold is an event within 1.1 s, what comes back clears it, and OOM kills are
told."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.eviction import crossing
from tests.eviction.crossing import MIB
from tests.peers.processes import start_agent

LATEST_S = 1.1


def config(place: Path, hard: dict[str, str], **more: object) -> str:
    """A kubelet's configuration file with these thresholds. JSON is YAML."""
    file = place / "kubelet.yaml"
    said = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "evictionHard": hard, **more}
    file.write_text(json.dumps(said))
    return str(file)


@pytest.mark.needs("root", "loop", "mke2fs")
def test_a_filesystem_that_fills_is_an_event_within_a_second(tmp_path: Path) -> None:
    """nodefs.available crosses for real; the event has the signal, the threshold and what was left."""
    threshold = 20 * MIB
    file = config(tmp_path, {"nodefs.available": "20Mi"}, evictionMinimumReclaim={"nodefs.available": "5Mi"})
    with crossing.filesystem(tmp_path) as disk:
        flags = ("--kubelet.config-file", file, "--kubelet.root-dir", str(disk))
        with start_agent(*flags) as agent:
            crossed_s = crossing.fill(disk, threshold)
            event = crossing.event(agent, type="signal", state="crossed", subject="nodefs.available")
            assert event["time_seconds"] - crossed_s <= LATEST_S
            assert event["threshold"] == threshold > event["observed"]
            assert crossing.event(agent, type="condition", state="crossed")["subject"] == "DiskPressure"
            os.unlink(disk / "filler")
            cleared = crossing.event(
                agent, 0, crossing.CLEARED_S, type="signal", state="cleared", subject="nodefs.available"
            )
            assert cleared["observed"] >= threshold + 5 * MIB
            # the condition outlasts the crossing, by the transition period
            text = agent.get("/metrics/headroom").decode()
            assert 'headroom_node_condition{condition="DiskPressure",origin="derived"} 1\n' in text
            assert (
                'headroom_eviction_threshold_crossed{signal="nodefs.available",kind="hard",source="direct"} 0\n' in text
            )


@pytest.mark.needs("root", "cgroup-v1-memory")
def test_memory_that_runs_out_is_an_event_within_a_second(tmp_path: Path) -> None:
    """memory.available crosses a threshold 200 MiB below what is left now, by a hog that its cgroup bounds."""
    threshold = (crossing.memory_available_bytes() - 200 * MIB) // MIB * MIB
    file = config(tmp_path, {"memory.available": str(threshold)})
    with start_agent("--kubelet.config-file", file) as agent, crossing.hog(600 * MIB, 10 * MIB, 40, 0.05) as hog:
        crossing.begin(hog)
        crossed_s = crossing.when(lambda: crossing.memory_available_bytes() < threshold)
        event = crossing.event(agent, type="signal", state="crossed", subject="memory.available")
        assert event["time_seconds"] - crossed_s <= LATEST_S
        assert event["threshold"] == threshold


@pytest.mark.needs("root", "cgroup-v1-memory")
def test_a_process_killed_for_want_of_memory_is_an_event() -> None:
    """The kernel kills a hog at the limit of its cgroup; the journal says so, and counts it once."""
    with start_agent() as agent, crossing.hog(40 * MIB, 10 * MIB, 20, 0.0) as hog:
        agent.json("/api/v1/eviction")
        crossing.begin(hog)
        crossing.when(lambda: hog.poll() is not None)
        crossing.event(agent, type="oom_kill", state="occurred")
        counted = 'headroom_eviction_events_total{type="oom_kill",state="occurred"} 1\n'
        crossing.when(lambda: counted in agent.get("/metrics/headroom").decode())  # its snapshot may be a second old
