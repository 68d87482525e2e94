"""The ways of verifying the kubelet's certificate, over real TLS."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agent.errors import ConfigError
from agent.sources.kubelet.client import Client, Limits
from agent.sources.kubelet.endpoint import parse_endpoint
from agent.sources.kubelet.failure import Failed
from agent.sources.kubelet.trust import Trust
from tests.kubelet.bodies import body
from tests.kubelet.conftest import Start
from tests.kubelet.scripted import NODE

pytestmark = pytest.mark.needs("openssl")
PODS = body("idle", "pods")


def ask(url: str, trust: Trust, token_file: str = "") -> bytes:
    client = Client(parse_endpoint(url), trust, token_file, Limits(seconds=5))
    try:
        return client.get("/pods")
    finally:
        client.close()


@pytest.mark.parametrize(
    ("shown", "ca", "pinned", "name"),
    [
        ("signed", "ca", "", ""),
        ("signed", "ca", "", NODE),
        ("signed", "signed", "", ""),  # the leaf itself as the anchor
        ("elsewhere", "ca", "", "worker-2"),
        ("elsewhere", "ca", "", "10.9.8.7"),
        ("own", "own", "", NODE),
        ("own", "", "own", ""),
        ("own", "", "own", NODE),
        ("kubeadm", "kubeadm", "", NODE),
        ("kubeadm", "", "kubeadm", ""),
        ("bare", "", "bare", ""),
        ("expired", "", "expired", ""),
        ("signed", "", "signed", ""),
    ],
)
def test_a_certificate_that_is_trusted(
    start: Start, certificates: Path, shown: str, ca: str, pinned: str, name: str
) -> None:
    """By a CA, by a name that it really has, or by being exactly the one that is pinned."""
    files = [str(certificates / f"{one}.pem") if one else "" for one in (ca, pinned)]
    kubelet = start(shown)
    assert ask(kubelet.url, Trust(files[0], files[1], name)) == PODS
    assert [path for path, _ in kubelet.requests] == ["/pods"]


@pytest.mark.parametrize(
    ("shown", "ca", "pinned", "name", "cause"),
    [
        ("own", "ca", "", "", "tls_untrusted"),
        ("own", "ca", "", NODE, "tls_untrusted"),
        ("own", "own", "", "", "tls_name"),
        ("kubeadm", "ca", "", NODE, "tls_untrusted"),
        ("kubeadm", "kubeadm", "", "", "tls_name"),
        ("bare", "bare", "", NODE, "tls_name"),
        ("elsewhere", "ca", "", "", "tls_name"),
        ("signed", "ca", "", "worker-2", "tls_name"),
        ("expired", "ca", "", "", "tls_expired"),
        ("signed", "own", "", "", "tls_untrusted"),
        ("signed", "", "own", "", "tls_pin"),
        ("own", "", "bare", "", "tls_pin"),
    ],
)
def test_a_certificate_that_is_not(
    start: Start, certificates: Path, tmp_path: Path, shown: str, ca: str, pinned: str, name: str, cause: str
) -> None:
    """Each for its reason, and before the request and its token are sent."""
    files = [str(certificates / f"{one}.pem") if one else "" for one in (ca, pinned)]
    (tmp_path / "token").write_text("secret")
    kubelet = start(shown)
    with pytest.raises(Failed) as failed:
        ask(kubelet.url, Trust(files[0], files[1], name), str(tmp_path / "token"))
    assert (failed.value.cause, failed.value.status) == (cause, None)
    assert kubelet.requests == []


def test_the_last_resort(start: Start) -> None:
    """Nothing is verified when that is asked for."""
    assert ask(start("bare").url, Trust(insecure=True)) == PODS


def test_tls_to_whom_speaks_none(start: Start) -> None:
    """A kubelet's port without TLS."""
    url = start("").url.replace("http:", "https:")
    with pytest.raises(Failed) as failed:
        ask(url, Trust(insecure=True))
    assert failed.value.cause in ("tls", "reset")


def test_without_tls_to_whom_speaks_it(start: Start) -> None:
    """The kubelet's port with TLS, asked without."""
    url = start("signed").url.replace("https:", "http:")
    with pytest.raises(Failed) as failed:
        ask(url, Trust())
    assert failed.value.cause in ("reset", "protocol", "status")


def test_a_renewed_certificate_is_followed(start: Start, certificates: Path, tmp_path: Path) -> None:
    """The pinned file and the CA are read again when they change; one that is broken leaves the former in use."""
    pinned, ca = tmp_path / "pinned.pem", tmp_path / "ca.pem"
    shutil.copy(certificates / "own.pem", pinned)
    shutil.copy(certificates / "own.pem", ca)
    first, second = start("own"), start("bare")
    for trust, path in ((Trust(cert_file=str(pinned)), pinned), (Trust(str(ca), server_name=NODE), ca)):
        client = Client(parse_endpoint(first.url), trust)
        assert client.get("/pods") == PODS
        client.close()
        path.write_text("half a certificate")
        assert client.get("/pods") == PODS
        client.close()
        shutil.copy(certificates / "bare.pem", path)
        with pytest.raises(Failed, match="TLS"):
            client.get("/pods")
    assert ask(second.url, Trust(cert_file=str(pinned))) == PODS


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAA==\n"])
@pytest.mark.parametrize("setting", ["ca_file", "cert_file"])
def test_files_that_cannot_be_used(start: Start, tmp_path: Path, setting: str, content: bytes | None) -> None:
    """They are a failure like any other: the file may come later."""
    if content is not None:
        (tmp_path / "x.pem").write_bytes(content)
    with pytest.raises(Failed, match="cannot use"):
        ask(start("signed").url, Trust(**{setting: str(tmp_path / "x.pem")}))


@pytest.mark.parametrize(
    "trust",
    [
        Trust(ca_file="x", insecure=True),
        Trust(cert_file="x", insecure=True),
        Trust(ca_file="x", cert_file="y"),
        Trust(server_name="a b"),
        Trust(server_name=".a"),
        Trust(server_name="ä"),
    ],
)
def test_settings_that_contradict_each_other(trust: Trust) -> None:
    """It is a mistake to be told of, not to be resolved."""
    with pytest.raises(ConfigError):
        trust.check()
