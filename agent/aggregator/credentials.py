"""From settings to what guards the two listeners. Raises ConfigError: who is believed is somebody's decision."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from agent.aggregator.listening import Files, parse_address
from agent.aggregator.reviewer import Asking
from agent.aggregator.token_review import Expected
from agent.config.load import Config
from agent.errors import ConfigError

_ACCOUNT: Final = re.compile(r"([a-z0-9.-]+):([a-z0-9.-]+)", re.ASCII)


class Guards(NamedTuple):
    """How streams are guarded. ``tls`` holds certificate, key and perhaps a CA for clients."""

    tls: Files | None
    client_ca: bool
    believed: bool
    asking: Asking | None


class HttpGuards(NamedTuple):
    """``paths`` are those of ``tls``: certificate, key, CA."""

    tokens: Files | None
    tls: Files | None
    paths: tuple[str, str, str]


def guards(config: Config, environ: Mapping[str, str] = os.environ) -> Guards:
    """Of the streams. A client CA and a review of tokens are both asked for where both are set."""
    cert, key, ca = (config[f"grpc.tls-{name}"] or config[f"tls-{name}"] for name in ("cert", "key", "client-ca"))
    believed, reviewed = config["insecure"], config["grpc.token-review"]
    if (cert or key or ca) and not (cert and key):
        raise ConfigError("TLS needs both --grpc.tls-cert and --grpc.tls-key")
    if not (ca or believed or reviewed):
        raise ConfigError(
            "agents are known by their certificates or tokens: give --grpc.tls-cert, --grpc.tls-key and "
            "--grpc.tls-client-ca or --grpc.token-review, or believe whoever connects with --insecure"
        )
    if believed and (ca or reviewed):
        raise ConfigError(
            "--insecure believes every agent; --grpc.tls-client-ca none without a certificate, --grpc.token-review "
            "none without a token"
        )
    if reviewed and not cert:
        raise ConfigError("--grpc.token-review needs --grpc.tls-cert and --grpc.tls-key: tokens do not go in the clear")
    tls = Files(cert, key, ca) if cert else None
    return Guards(tls, bool(ca), believed, _asking(config, environ) if reviewed else None)


def _asking(config: Config, environ: Mapping[str, str]) -> Asking:
    audience, account = config["grpc.token-audience"], config["grpc.token-account"]
    match = _ACCOUNT.fullmatch(account)
    if not match:
        raise ConfigError(f"--grpc.token-account {account!r}: NAMESPACE:NAME expected")
    if not audience:
        raise ConfigError("--grpc.token-audience: without one any token of the account would do")
    ca, token = config["grpc.token-review-ca-file"], config["grpc.token-review-token-file"]
    expected = Expected(audience, f"system:serviceaccount:{match[1]}:{match[2]}")
    return Asking(_api_server(config["grpc.token-review-url"], environ), Files(ca), Files(token), expected)


def _api_server(url: str, environ: Mapping[str, str]) -> str:
    """``https://HOST:PORT`` of the one that is given, or of the cluster that this runs in."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not (url or host):
        raise ConfigError("--grpc.token-review: this is no pod; give --grpc.token-review-url, https://HOST:PORT")
    found = url or f"https://{f'[{host}]' if ':' in host else host}:{port}"
    try:
        parts = urlsplit(found)
        valid = parts.scheme == "https" and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid or parts.username or parts.query or parts.fragment or parts.path not in ("", "/"):
        raise ConfigError(
            f"--grpc.token-review-url {found!r}: https://HOST:PORT expected; tokens do not go in the clear"
        )
    return found.rstrip("/")


def http_guards(config: Config) -> HttpGuards:
    """What is served names pods, mounts and processes."""
    cert, key, ca = (config[f"http.tls-{name}"] for name in ("cert", "key", "client-ca"))
    token = config["http.token-file"]
    address = parse_address("--http-listen", config["http-listen"])
    if not (address.is_loopback or ca or token or config["http.insecure"]):
        raise ConfigError(
            f"--http-listen {address} is open to other machines without authentication: "
            "give --http.token-file or --http.tls-client-ca, or accept it with --http.insecure"
        )
    if (cert or key or ca) and not (cert and key):
        raise ConfigError("TLS needs both --http.tls-cert and --http.tls-key")
    tokens = Files(token) if token else None
    if tokens and not tokens.content()[0].strip():
        raise ConfigError(f"{token} has no line with a secret in it")
    return HttpGuards(tokens, Files(cert, key, ca) if cert else None, (cert, key, ca))
