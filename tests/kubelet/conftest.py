"""Fixtures of the scripted kubelet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kubelet.scripted import ScriptedKubelet, make_certificates, server_context

Start = Callable[..., ScriptedKubelet]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a CA and the certificates of several kubelets."""
    place = tmp_path_factory.mktemp("kubelet")
    make_certificates(place)
    return place


@pytest.fixture
def start(certificates: Path) -> Iterator[Start]:
    """Starts a scripted kubelet with one of the certificates, or without TLS."""
    started: list[ScriptedKubelet] = []

    def run(certificate: str = "signed", host: str = "127.0.0.1") -> ScriptedKubelet:
        started.append(ScriptedKubelet(server_context(certificates, certificate) if certificate else None, host))
        return started[-1]

    yield run
    for one in started:
        one.stop()
