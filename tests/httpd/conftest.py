"""Fixtures of the HTTP tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.httpd.connection import Limits
from tests.httpd.serving import Running, make_certificate


@pytest.fixture
def serve() -> Iterator[Callable[..., Running]]:
    running: list[Running] = []

    def start(limits: Limits = Limits(), tls: Callable[[], object] | None = None) -> Running:
        running.append(Running(limits, tls))
        return running[-1]

    yield start
    for one in running:
        one.stop()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a CA, a server and a client certificate, made by openssl."""
    place = tmp_path_factory.mktemp("ca")
    make_certificate(place, "ca", "/CN=test-ca")
    for name in ("server", "client"):
        make_certificate(place, name, f"/CN={name}", signed_by="ca")
    return place
