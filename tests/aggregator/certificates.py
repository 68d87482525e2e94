"""A CA, a server and agents of two nodes, made by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

import grpc

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
NAMES = {
    "server": "DNS:aggregator,IP:127.0.0.1",
    "worker-1": "URI:spiffe://prod/node/worker-1",
    "worker-2": "DNS:worker-2",
}


def make(place: Path, *names: str) -> Path:
    """All of ``NAMES``, or those that are named; the CA only if it is not there."""
    if not (place / "ca.pem").exists():
        _openssl(place, "ca", "-subj", "/CN=test-ca")
    for name in names or NAMES:
        issuer = ("-CA", f"{place}/ca.pem", "-CAkey", f"{place}/ca.key")
        _openssl(place, name, "-subj", f"/CN={name}", "-addext", f"subjectAltName={NAMES[name]}", *issuer)
    return place


def _openssl(place: Path, name: str, *more: str) -> None:
    out = ("-keyout", f"{place}/{name}.key", "-out", f"{place}/{name}.pem")
    subprocess.run(["openssl", "req", "-x509", *_KEY, *more, *out], check=True, capture_output=True)


def credentials(place: Path, name: str = "") -> grpc.ChannelCredentials:
    ca = (place / "ca.pem").read_bytes()
    if not name:
        return grpc.ssl_channel_credentials(ca)
    return grpc.ssl_channel_credentials(ca, (place / f"{name}.key").read_bytes(), (place / f"{name}.pem").read_bytes())


def flags(place: Path, kind: str = "grpc.") -> list[str]:
    files = {"cert": "server.pem", "key": "server.key", "client-ca": "ca.pem"}
    return [f"--{kind}tls-{flag}={place}/{file}" for flag, file in files.items()]
