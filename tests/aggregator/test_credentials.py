"""Which settings guard the streams, and which contradict each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.aggregator.credentials import Guards, guards
from agent.aggregator.settings import AGGREGATOR
from agent.config.load import load
from agent.errors import ConfigError

POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "6443"}
TLS = {"grpc.tls-cert": "cert", "grpc.tls-key": "key"}
REVIEW = {**TLS, "grpc.token-review": True, "grpc.token-review-ca-file": "ca", "grpc.token-review-token-file": "token"}


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("cert", "key", "ca", "token"):
        (tmp_path / name).write_text(name)


def made(flags: dict[str, object], environ: dict[str, str] = POD) -> Guards:
    return guards(load(AGGREGATOR, "", {}, flags), environ)


def test_in_a_pod_one_flag_does() -> None:
    """Whom to ask, and about what, by default: the cluster's API server, our audience, the agents' account."""
    found = made(REVIEW)
    assert found.asking
    assert found.asking.url == "https://10.96.0.1:6443"
    assert found.asking.expected == ("headroom-aggregator", "system:serviceaccount:headroom:headroom-agent")
    assert (found.client_ca, found.believed) == (False, False)
    service_account = "/var/run/secrets/kubernetes.io/serviceaccount"
    config = load(AGGREGATOR, "", {}, {})
    assert config["grpc.token-review-ca-file"] == f"{service_account}/ca.crt"
    assert config["grpc.token-review-token-file"] == f"{service_account}/token"


@pytest.mark.parametrize(
    ("flags", "environ", "url"),
    [
        ({}, {"KUBERNETES_SERVICE_HOST": "fd00::1"}, "https://[fd00::1]:443"),
        ({"grpc.token-review-url": "https://api.example:6443/"}, POD, "https://api.example:6443"),
        ({"grpc.token-review-url": "https://[::1]:6443"}, {}, "https://[::1]:6443"),
    ],
)
def test_where_the_api_server_is(flags: dict[str, object], environ: dict[str, str], url: str) -> None:
    """What is given goes before what the pod's environment says; IPv6 works in both."""
    found = made(REVIEW | flags, environ)
    assert found.asking
    assert found.asking.url == url


def test_certificates_and_tokens_together() -> None:
    """Neither excludes the other."""
    found = made(REVIEW | {"grpc.tls-client-ca": "ca"})
    assert (found.client_ca, found.asking is not None) == (True, True)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({}, "--grpc.token-review, or believe"),
        (TLS, "--grpc.token-review, or believe"),
        ({"grpc.token-review": True}, "--grpc.token-review needs --grpc.tls-cert"),
        (REVIEW | {"insecure": True}, "--insecure believes every agent"),
        (REVIEW | {"grpc.token-account": "headroom-agent"}, "--grpc.token-account 'headroom-agent': NAMESPACE:NAME"),
        (REVIEW | {"grpc.token-account": "a:b:c"}, "--grpc.token-account"),
        (REVIEW | {"grpc.token-account": "a:"}, "--grpc.token-account"),
        (REVIEW | {"grpc.token-audience": ""}, "--grpc.token-audience"),
        (REVIEW | {"grpc.token-review-url": "http://api:6443"}, "--grpc.token-review-url 'http://api:6443'"),
        (REVIEW | {"grpc.token-review-url": "https://"}, "--grpc.token-review-url"),
        (REVIEW | {"grpc.token-review-url": "https://api:65536"}, "--grpc.token-review-url"),
        (REVIEW | {"grpc.token-review-url": "https://a@api"}, "--grpc.token-review-url"),
        (REVIEW | {"grpc.token-review-url": "https://api/apis"}, "--grpc.token-review-url"),
        (REVIEW | {"grpc.token-review-ca-file": "none"}, "cannot read none"),
        (REVIEW | {"grpc.token-review-token-file": "none"}, "cannot read none"),
    ],
)
def test_settings_that_contradict_are_refused(flags: dict[str, object], says: str) -> None:
    """One line that names the setting."""
    with pytest.raises(ConfigError) as error:
        made(flags)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_outside_of_a_pod_there_is_nobody_to_ask() -> None:
    """Said, with what to give."""
    with pytest.raises(ConfigError, match="give --grpc"):
        made(REVIEW, {})
