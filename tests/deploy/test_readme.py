"""README's "On a cluster", followed as far as it goes without one: every file that its commands name is there, what
they would install is rendered by the same programs, and what needs no cluster is really done."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from agent.push.spool import Limits
from tests.deploy.rendering import CHART, MANIFESTS, NEWEST, REPOSITORY, container_of, helm, kustomize, overlay, program
from tests.unit.push.test_export import Writer

SECTION = re.search(r"^## On a cluster\n(.*?)^## ", (REPOSITORY / "README.md").read_text(), re.DOTALL | re.MULTILINE)
assert SECTION is not None
BLOCKS = re.findall(r"```sh\n(.*?)```", SECTION[1], re.DOTALL)


def block(with_it: str) -> str:
    (found,) = (one for one in BLOCKS if with_it in one)
    return str(found)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What a new user has: a directory with the manifests in it."""
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    return tmp_path


def shell(script: str, place: Path) -> None:
    done = subprocess.run(["sh", "-eu", "-c", script], cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.needs("kubectl")
def test_a_site_of_ones_own(clone: Path) -> None:
    """The kustomization that it writes renders, with the image that it names and the component that it takes."""
    text = block("kustomization.yaml")
    shell(text.partition("kubectl apply")[0], clone)
    objects = kustomize(clone / "site")
    assert container_of(objects)["image"].startswith("registry.example.com/headroom-agent:")
    assert any(entry["name"] == "HEADROOM_KUBELET_CERT_FILE" for entry in container_of(objects)["env"])
    assert "kubectl apply -k site\n" in text


@pytest.mark.needs("helm")
def test_the_chart(clone: Path) -> None:
    """The command as it stands, but that it is rendered and not installed."""
    words = shlex.split(block("helm install").partition("helm install ")[2].replace("\\\n", " "))
    command = [program("helm"), "template", "--kube-version", f"{NEWEST}.0", *words]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kinds = [document["kind"] for document in yaml.safe_load_all(done.stdout)]
    assert "DaemonSet" in kinds
    assert "PodMonitor" in kinds


@pytest.mark.needs("openssl", "kubectl")
def test_the_aggregator_s_certificate(clone: Path) -> None:
    """The commands make what the manifests mount, and the certificate is for the name that agents connect to."""
    text = block("headroom-aggregator-tls")
    commands, _, after = text.partition("kubectl apply")
    instead = rf"{program('kubectl')} \1 --dry-run=client --output yaml >> made.yaml; echo --- >> made.yaml"
    dry = re.sub(r"^kubectl (.*)$", instead, commands, flags=re.MULTILINE)
    shell(dry, clone)
    made = [one for one in yaml.safe_load_all((clone / "made.yaml").read_text()) if one]
    names = {(one["kind"], one["metadata"]["name"], one["metadata"]["namespace"]) for one in made}
    expected = {("Secret", "headroom-aggregator-tls"), ("ConfigMap", "headroom-aggregator-ca")}
    assert names == {(*one, "headroom") for one in expected}
    assert {key for one in made for key in one["data"]} == {"tls.crt", "tls.key", "ca.crt"}
    name = ("-verify_hostname", "headroom-aggregator.headroom.svc")
    verify = ("openssl", "verify", "-CAfile", "ca.crt", *name, "tls.crt")
    assert subprocess.run(verify, cwd=clone, capture_output=True, check=False).returncode == 0
    place = after.split()[1]
    assert kustomize(clone / place) == overlay("both")


def test_argo_cd(clone: Path) -> None:
    """The file is there, and both links are."""
    words = shlex.split(block("argocd"))
    assert (clone / words[words.index("--filename") + 1]).exists()
    assert SECTION is not None
    linked = re.findall(r"\]\(((?:manifests|docs)/[^)#]+)", SECTION[1])
    assert linked
    assert [path for path in linked if not (REPOSITORY / path).exists()] == []


@pytest.mark.needs("kubectl", "helm", "promtool")
def test_air_gapped(clone: Path) -> None:
    """The chart becomes one file; and the loops take two spools through a pipe, out and into blocks of Prometheus, with
    a kubectl that starts the command here instead of in a pod."""
    assert SECTION is not None
    assert "`helm package manifests/helm/headroom`" in SECTION[1]
    assert helm("package", str(CHART), "--destination", str(clone)).returncode == 0
    assert {one[0] for one in overlay("air-gapped")} >= {"DaemonSet"}
    for name in ("a", "b"):
        writer = Writer(clone / f"node-{name}", Limits())
        for number in range(5):
            writer.tick(number)
        writer.spool.close()
    bin_ = clone / "bin"
    bin_.mkdir()
    (bin_ / "kubectl").write_text(FAKE)
    (bin_ / "headroom").write_text(f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable} -m agent.cli "$@"\n')
    (bin_ / "promtool").symlink_to(program("promtool"))
    for one in bin_.iterdir():
        one.chmod(0o755)
    shell(f"PATH={bin_}:$PATH; export PATH\n{block('spool export -')}", clone)
    assert len(list(clone.glob("spools/pod/*.tsdb/*/meta.json"))) >= 2


FAKE = """#!/bin/sh
case "$*" in
  *"get pods"*) echo pod/a; echo pod/b ;;
  *"exec pod/"*) shift 3; pod=${1#pod/}; shift 2; exec "$@" --spool.dir "$PWD/node-$pod" ;;
esac
"""
