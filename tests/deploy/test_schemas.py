"""Everything that is rendered fits the schemas of the oldest and of the newest supported Kubernetes."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.deploy.chart_values import COMPOSED, MATRIX, PRESETS
from tests.deploy.rendering import (
    CHART,
    MANIFESTS,
    NEWEST,
    OLDEST,
    OVERLAYS,
    composed,
    overlay,
    sets,
    template,
)
from tests.deploy.shapes import check


def refused(*documents: dict[str, Any]) -> list[str]:
    """Most objects come again and again: each is looked at once."""
    return [said for one in documents for version in (OLDEST, NEWEST) if (said := _refused(json.dumps(one), version))]


@cache
def _refused(text: str, kubernetes: str) -> str:
    document = json.loads(text)
    try:
        check(document, kubernetes)
    except jsonschema.ValidationError as error:
        return f"{kubernetes}: {document['kind']}: {'/'.join(map(str, error.absolute_path))}: {error.message}"
    return ""


@pytest.mark.needs("kubectl")
@pytest.mark.parametrize("name", ["base", *OVERLAYS])
def test_overlays_fit(name: str) -> None:
    """Known fields of the right types, and no other."""
    assert refused(*overlay(name).values()) == []


@pytest.mark.needs("kubectl")
@pytest.mark.parametrize("components", COMPOSED, ids=" ".join)
def test_components_fit(components: tuple[str, ...], tmp_path: Path) -> None:
    """Also together, as users put them together."""
    assert refused(*composed(tmp_path / "k", *components).values()) == []


@pytest.mark.needs("helm")
@pytest.mark.parametrize("values", MATRIX, ids=lambda values: " ".join(values) or "defaults")
def test_the_chart_fits(values: dict[str, Any]) -> None:
    """With each group of values that changes what is there."""
    assert refused(*template(*sets(values)).values()) == []


@pytest.mark.needs("helm")
@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_presets_fit(preset: Path) -> None:
    """Alone, and with the rest switched on."""
    for more in ({}, {"push.enabled": True, "aggregator.enabled": True, "podMonitor.enabled": True}):
        objects = template("--values", str(preset), *sets(more))
        assert refused(*objects.values()) == []


@pytest.mark.parametrize("file", sorted((MANIFESTS / "argocd").iterdir()), ids=lambda path: path.stem)
def test_argo_cd_s_objects_fit(file: Path) -> None:
    """What Argo CD is given, its values among the chart's, and the presets that it names."""
    document = yaml.safe_load(file.read_text())
    assert refused(document) == []
    spec = document["spec"] if document["kind"] == "Application" else document["spec"]["template"]["spec"]
    assert (MANIFESTS.parent / spec["source"]["path"]).samefile(CHART)
    named = [name for name in spec["source"]["helm"]["valueFiles"] if "{{" not in name]
    assert [name for name in named if not (CHART / name).exists()] == []
    jsonschema.validate(
        spec["source"]["helm"]["valuesObject"], yaml.safe_load((CHART / "values.schema.json").read_text())
    )


@pytest.mark.needs("kubectl")
@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("DaemonSet", "spec.template.spec.hostNetworks", True),
        ("DaemonSet", "spec.updateStrategy.rollingUpdate.maxSurge", []),
        ("NetworkPolicy", "spec.ingres", []),
        ("PodMonitor", "spec.podMetricsEndpoints", []),
        ("PodMonitor", "spec.namespaceSelectors", {}),
    ],
)
def test_a_wrong_field_would_be_noticed(kind: str, path: str, value: Any, tmp_path: Path) -> None:
    """The checks above can fail: for a field that is not known, and for a known one of another type."""
    objects = composed(tmp_path / "k", "podmonitor")
    document = objects[kind, "headroom-agent"]
    *outer, last = path.split(".")
    place = document
    for name in outer:
        place = place[name]
    place[last] = value
    oldest, newest = refused(document)
    assert last in oldest
    assert last in newest
