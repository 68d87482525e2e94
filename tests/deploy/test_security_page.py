"""docs/security.md against what is rendered and what doctor says: nothing is asked for that does not stand there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.cli import main
from tests.deploy.chart_values import CENTRAL
from tests.deploy.rendering import REPOSITORY, Objects, composed, overlay, sets, template

PAGE = (REPOSITORY / "docs/security.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("|") and not line.startswith("|--")
]


def asked_for(objects: Objects) -> Iterator[str]:
    """Every permission, volume of the node, capability, port and audience of the objects."""
    for document in objects.values():
        for rule in document.get("rules", ()):
            yield from rule["resources"]
        if document["kind"] == "NetworkPolicy":
            rules = (*document["spec"]["ingress"], *document["spec"]["egress"])
            yield from (str(port["port"]) for rule in rules for port in rule["ports"] if port["port"] not in NAMED)
        if document["kind"] in ("DaemonSet", "StatefulSet"):
            yield from _of_pod(document["spec"]["template"]["spec"])


NAMED = ("metrics", "grpc", "http")  # of the containers' ports, which come with their numbers


def _of_pod(pod: dict[str, Any]) -> Iterator[str]:
    for volume in pod.get("volumes", ()):
        if "hostPath" in volume:
            yield str(volume["hostPath"]["path"])
        if "secret" in volume:
            yield str(volume["secret"]["secretName"])
        if "configMap" in volume:
            yield str(volume["configMap"]["name"])
        for source in volume.get("projected", {}).get("sources", ()):
            yield str(source.get("serviceAccountToken", {}).get("audience", "kube-root-ca.crt"))
    for container in (*pod["containers"], *pod.get("initContainers", ())):
        yield from container["securityContext"]["capabilities"].get("add", ())
        yield from (str(port["containerPort"]) for port in container.get("ports", ()))


@pytest.mark.needs("kubectl")
@pytest.mark.parametrize("name", ["base", "pull", "push", "both", "air-gapped"])
def test_what_an_overlay_asks_for_stands_on_the_page(name: str) -> None:
    """Each thing in the first column of a row of its own."""
    subjects = " ".join(row[0] for row in ROWS)
    assert [one for one in asked_for(overlay(name)) if f"`{one}`" not in subjects] == []


@pytest.mark.needs("kubectl", "helm")
def test_what_options_ask_for_stands_on_the_page(tmp_path: Path) -> None:
    """Also what is off by default."""
    subjects = " ".join(row[0] for row in ROWS)
    root = {"agent.runAsRoot": True, "agent.capabilities": ["DAC_READ_SEARCH"]}
    by_chart = template(*sets({**CENTRAL, **root, "kubelet.nodesProxy": True, "kubelet.trust": "pinned"}))
    found = set(asked_for(by_chart)) | set(asked_for(composed(tmp_path / "k", "push", "aggregator", "mutual-tls")))
    assert {"nodes/proxy", "DAC_READ_SEARCH", "/etc/headroom/pki"} <= found
    found.discard("headroom-agents-ca")  # who signs the certificates of nodes is a site's own
    assert [one for one in found if f"`{one}`" not in subjects] == []


def test_what_is_not_there_would_be_noticed() -> None:
    """The checks above can fail."""
    assert "`nodes/exec`" not in " ".join(row[0] for row in ROWS)
    assert any(row[0].startswith("`nodes/stats`") for row in ROWS)


def test_doctor_has_the_lines_that_the_page_names(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Each row's line is one that doctor prints for an agent with everything."""
    lines = {found[1] for row in ROWS if len(row) == 4 and (found := re.fullmatch(r"`(.+)`", row[3]))}
    assert {"kubelet /pods", "spool", "user", "collector meminfo", "aggregator token"} <= lines
    (tmp_path / "token").write_text("a")
    flags = {
        "listen": "127.0.0.1:0",
        "kubelet.url": "https://127.0.0.1:1",
        "kubelet.insecure-skip-verify": "",
        "spool.dir": str(tmp_path),
        "push.target": "127.0.0.1:1",
        "push.tls-ca": "/etc/ssl/certs/ca-certificates.crt",
        "push.token-file": str(tmp_path / "token"),
        "push.tls-cert": str(tmp_path / "token"),
        "push.tls-key": str(tmp_path / "token"),
    }
    main(["doctor", *(f"--{name}={value}" if value else f"--{name}" for name, value in flags.items())])
    said = {line[6:].split("  ")[0].strip() for line in capsys.readouterr().out.splitlines()}
    expected = {line.replace("HOST:PORT", "127.0.0.1:1") for line in lines}
    assert expected - said == set()
