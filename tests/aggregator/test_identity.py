"""Who may speak for which node, on real TLS."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.aggregator import certificates
from tests.aggregator.agent_end import AgentEnd, Told, hello
from tests.aggregator.running import Running, eventually, start_aggregator
from tests.unit.wire.batches import FAMILIES, block

pytestmark = pytest.mark.needs("openssl")
BLOCKS = (block(FAMILIES[0], {(): 0.5}),)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    directory = tmp_path / "tls"
    directory.mkdir()
    return certificates.make(directory)


@pytest.fixture
def running(tmp_path: Path, place: Path) -> Iterator[Running]:
    with start_aggregator(tmp_path / "data", *certificates.flags(place), insecure=False) as one:
        yield one


@pytest.mark.parametrize(("node", "cluster", "id"), [("worker-1", "prod", "prod"), ("worker-2", "", "default")])
def test_the_certificate_decides(running: Running, place: Path, node: str, cluster: str, id: str) -> None:
    """A SPIFFE name brings its cluster; with a DNS name it is ours."""
    told = Told()
    with AgentEnd(running.grpc, certificates.credentials(place, node)) as end:
        end.send(hello(told.listed(), node=node, cluster=cluster)).welcome()
        end.send(told.header(BLOCKS), told.tick(BLOCKS)).acked(told, 1)
        assert running.get(f"/clusters/{id}/nodes/{node}/metrics").endswith(b"node_load1 0.5\n")


@pytest.mark.parametrize(("node", "cluster"), [("worker-2", "prod"), ("worker-1", "other")])
def test_another_nodes_name_is_denied(running: Running, place: Path, node: str, cluster: str) -> None:
    """PERMISSION_DENIED, counted, and nothing is known of it afterwards."""
    with AgentEnd(running.grpc, certificates.credentials(place, "worker-1")) as end:
        assert end.send(hello(node=node, cluster=cluster)).end()[0] == grpc.StatusCode.PERMISSION_DENIED
    assert running.metric("headroom_aggregator_identity_denied_total") == 1
    assert running.json("/api/v1/nodes") == {"nodes": []}


def test_without_a_certificate_nobody_is_heard(running: Running, place: Path) -> None:
    """Neither over TLS nor in the clear."""
    for credentials in (certificates.credentials(place), None):
        with AgentEnd(running.grpc, credentials) as end:
            assert end.send(hello()).end()[0] == grpc.StatusCode.UNAVAILABLE
    assert running.json("/api/v1/nodes") == {"nodes": []}


def test_a_new_certificate_is_taken_without_a_restart(running: Running, place: Path) -> None:
    """A CA and certificates that replace the former; half of a file changes nothing."""
    (place / "server.pem").write_text("half")
    with AgentEnd(running.grpc, certificates.credentials(place, "worker-1")) as end:
        assert end.send(hello(cluster="prod")).welcome() == {}
    fresh = place / "fresh"
    fresh.mkdir()
    certificates.make(fresh)
    for name in ("ca.pem", "server.key", "server.pem"):
        os.replace(fresh / name, place / name)
    os.replace(place / "ca.pem", fresh / "ca.pem")
    (place / "ca.pem").write_bytes((fresh / "ca.pem").read_bytes())

    def heard() -> bool:
        with AgentEnd(running.grpc, certificates.credentials(fresh, "worker-1")) as end:
            end.send(hello(cluster="prod"))
            try:
                return end.welcome() == {}
            except grpc.RpcError:
                return False

    assert eventually(heard)


def test_http_has_its_own_guards(tmp_path: Path, place: Path) -> None:
    """A token, over TLS; probes need none; a certificate that is replaced is served to who comes next."""
    token = tmp_path / "token"
    token.write_text("# who may ask\nsecret\n")
    flags = (*certificates.flags(place, "http.")[:2], f"--http.token-file={token}")
    with start_aggregator(tmp_path / "data", *flags) as running:
        assert "https://" in running.log()
        context = ssl.create_default_context(cafile=str(place / "ca.pem"))
        context.check_hostname = False

        def status(path: str, **headers: str) -> int:
            import http.client

            connection = http.client.HTTPSConnection(*running.address, timeout=10, context=context)
            try:
                connection.request("GET", path, headers=headers)
                return connection.getresponse().status
            finally:
                connection.close()

        assert (status("/healthz"), status("/api/v1/nodes")) == (200, 401)
        assert status("/api/v1/nodes", Authorization="Bearer wrong") == 401
        assert status("/api/v1/nodes", Authorization="Bearer # who may ask") == 401
        assert status("/api/v1/nodes", Authorization="Bearer secret") == 200
        token.write_text("other\n")
        assert status("/api/v1/nodes", Authorization="Bearer secret") == 401

        def serial() -> str:
            return ssl.get_server_certificate(running.address)

        before = serial()
        certificates.make(place, "server")
        assert eventually(lambda: serial() != before)
        assert status("/api/v1/nodes", Authorization="Bearer other") == 200
