"""Items of ``/pods`` and of the summary, in the few words that matter to evictions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from agent.sources.kubelet.pods import Pod, parse_pods
from agent.sources.kubelet.summary import Summary, parse_summary

Json = dict[str, Any]


def item(name: str, *containers: Json, phase: str = "Running", running: bool = True, **spec: Any) -> Json:
    """A pod of the API server; ``running`` is whether its containers do."""
    state = {"running": {}} if running else {"waiting": {"reason": "CrashLoopBackOff"}}
    return {
        "metadata": {"namespace": "default", "name": name, "uid": f"uid-{name}"},
        "spec": {"containers": list(containers), **spec},
        "status": {"phase": phase, "containerStatuses": [{"name": "c", "state": state}]},
    }


def container(name: str = "c", requests: Json | None = None, limits: Json | None = None, **more: Any) -> Json:
    resources = {"requests": requests, "limits": limits}
    return {"name": name, "resources": {key: value for key, value in resources.items() if value is not None}, **more}


def statistics(name: str, *containers: Json, volumes: Json | None = None, **more: Any) -> Json:
    """A pod of the summary; ``volumes`` are bytes by name."""
    said = {"podRef": {"namespace": "default", "name": name, "uid": f"uid-{name}"}, "containers": list(containers)}
    volume = [{"name": key, "usedBytes": used} for key, used in (volumes or {}).items()]
    return {**said, **({"volume": volume} if volume else {}), **more}


def used(name: str = "c", **bytes_used: int) -> Json:
    """A container of the summary: ``rootfs`` and ``logs`` in bytes."""
    return {"name": name, **{part: {"usedBytes": size} for part, size in bytes_used.items()}}


def working_set(size: int) -> Json:
    return {"memory": {"workingSetBytes": size}}


def pods_of(items: Iterable[Json]) -> tuple[Pod, ...]:
    return parse_pods(json.dumps({"kind": "PodList", "items": list(items)}).encode())


def summary_of(pods: Sequence[Json], node: Json | None = None) -> Summary:
    return parse_summary(json.dumps({"node": node or {}, "pods": list(pods)}).encode())
