"""``manifests/`` as the real kubectl and the real helm render it."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import yaml

from agent.cli import main
from tests.tools import peers

REPOSITORY: Final = Path(__file__).resolve().parents[2]
MANIFESTS: Final = REPOSITORY / "manifests"
CHART: Final = MANIFESTS / "helm" / "headroom"
OLDEST, NEWEST = "1.29", "1.37"  # what the chart says it supports, and the newest whose schemas there are
OVERLAYS: Final = ("pull", "push", "both", "air-gapped")

Object = dict[str, Any]
Objects = dict[tuple[str, str], Object]


def program(name: str) -> str:
    found = peers.path(name)
    assert found is not None, f"the test says that it needs {name}"
    return str(found)


def kustomize(place: Path) -> Objects:
    """What ``kubectl apply -k`` would send."""
    done = subprocess.run([program("kubectl"), "kustomize", str(place)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # such as a warning of a field that is deprecated
    return by_name(done.stdout)


def overlay(name: str) -> Objects:
    return kustomize(MANIFESTS / ("base" if name == "base" else f"overlays/{name}"))


def composed(place: Path, *components: str, base: str = "base") -> Objects:
    """A kustomization as a user would write it: the base, or an overlay, and components, in a directory of its own."""
    place.mkdir(exist_ok=True)
    up = os.path.relpath(MANIFESTS, place.resolve())
    document = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "headroom",
        "resources": [f"{up}/{base}"],
        "components": [f"{up}/components/{name}" for name in components],
        "labels": [{"pairs": {f"app.kubernetes.io/{key}": "headroom" for key in ("name", "instance", "part-of")}}],
    }
    (place / "kustomization.yaml").write_text(yaml.safe_dump(document))
    return kustomize(place)


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program("helm"), *arguments], capture_output=True, text=True, check=False)


def template(*arguments: str, chart: Path = CHART, release: str = "headroom") -> Objects:
    """What ``helm install`` would send. Helm takes the Kubernetes of its build to be there, so it is told."""
    return by_name(_template(release, str(chart), *arguments))


@cache
def _template(*arguments: str) -> str:
    done = helm("template", "--namespace", "headroom", "--kube-version", f"{NEWEST}.0", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def sets(values: Mapping[str, Any]) -> list[str]:
    """As arguments of helm: ``{"push.enabled": True}``."""
    return [word for name, value in values.items() for word in ("--set-json", f"{name}={json.dumps(value)}")]


def by_name(text: str) -> Objects:
    """Objects by kind and name; each is there once."""
    documents = [document for document in yaml.safe_load_all(text) if document]
    objects = {(document["kind"], document["metadata"]["name"]): document for document in documents}
    assert len(objects) == len(documents)
    return objects


def pod_of(objects: Objects, kind: str = "DaemonSet") -> Object:
    (found,) = (one for (of, _), one in objects.items() if of == kind)
    return dict(found["spec"]["template"]["spec"])


def container_of(objects: Objects, kind: str = "DaemonSet") -> Object:
    (only,) = pod_of(objects, kind)["containers"]
    return dict(only)


def environment_of(container: Object) -> dict[str, str]:
    """As the kubelet makes it: a variable may name those before it. What is from the pod is called so."""
    made: dict[str, str] = {}
    for entry in container.get("env", ()):
        made[entry["name"]] = expanded(entry.get("value", "from-the-pod"), made)
    return made


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """A name that is not there stays as it is."""
    return re.sub(r"\$\((\w+)\)", lambda match: variables.get(match[1], match[0]), text)


def print_config(container: Object, command: str = "") -> tuple[dict[str, str], str]:
    """A command's effective settings under the container's arguments and environment, and its complaints. By default
    its own; another is what ``kubectl exec`` would start."""
    given = environment_of(container)
    arguments = command.split() or [expanded(argument, given) for argument in container["args"]]
    out, complaints = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(complaints), patch.dict(os.environ, given):
        main([*arguments, "--print-config"])
    lines = (line.partition("  # ")[0].partition(" = ") for line in out.getvalue().splitlines())
    return {key: value.strip("'") for key, _, value in lines}, complaints.getvalue()


def mounts_of(pod: Object, container: Object) -> Iterator[tuple[Object, Object]]:
    """Each mount with its volume."""
    volumes = {volume["name"]: volume for volume in pod.get("volumes", ())}
    for mount in container.get("volumeMounts", ()):
        if mount["name"] in volumes:
            yield mount, volumes[mount["name"]]
