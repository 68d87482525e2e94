"""What the real kubectl renders of ``manifests/``, and what a node needs besides to run it."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from tests.tools import lock, peers

MANIFESTS: Final = lock.REPOSITORY / "manifests"
AGENT: Final = "headroom-agent"


@cache
def _text(directory: Path) -> bytes:
    command = [str(peers.path("kubectl")), "kustomize", str(directory)]
    return subprocess.run(command, capture_output=True, check=True).stdout


def rendered(name: str = "base") -> list[dict[str, Any]]:
    """The objects of a directory of ``manifests/``; the caller may change them."""
    return list(yaml.safe_load_all(_text(MANIFESTS / name)))


def pod_spec(objects: list[dict[str, Any]], workload: str = AGENT) -> dict[str, Any]:
    """The pod's specification in a workload, to be changed in place."""
    (found,) = (one for one in objects if one["kind"] == "DaemonSet" and one["metadata"]["name"] == workload)
    spec: dict[str, Any] = found["spec"]["template"]["spec"]
    return spec
