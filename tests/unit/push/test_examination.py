"""What doctor says of the spool, of the credentials for the aggregator, and of the aggregator."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent import collectors
from agent.config.load import load
from agent.push.examination import examine
from agent.push.spool import Spool
from agent.settings import AGENT, HOST, PUSH
from tests.aggregator import certificates


def told(**flags: Any) -> dict[str, tuple[str, str]]:
    """Each finding by its subject."""
    given = {key.replace("__", ".").replace("_", "-"): value for key, value in flags.items()}
    config = load((*AGENT, *HOST, *PUSH, *collectors.settings()), "", {}, given)
    return {one.subject: (one.state, one.detail) for one in examine(config)}


def token(place: Path, **claims: Any) -> str:
    """A file with a token as the kubelet writes it."""
    said = {"aud": ["headroom-aggregator"], "exp": time.time() + 600, **claims}
    parts = [base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in ({}, said)]
    (place / "token").write_text(".".join([*parts, "signature"]))
    return str(place / "token")


def on(node: str) -> dict[str, Any]:
    return {"kubernetes.io": {"node": {"name": node}, "pod": {"name": "headroom-agent-x"}}}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificates.make(tmp_path_factory.mktemp("tls"), "server", "worker-1")


@pytest.fixture
def listening(place: Path) -> Iterator[int]:
    """Somebody with the certificate of an aggregator; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "server.pem", place / "server.key")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    try:
                        context.wrap_socket(connection, server_side=True).close()
                    except OSError:
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_an_agent_that_is_only_scraped() -> None:
    """One line, and no lack."""
    assert told() == {"push": ("none", "neither --push.target nor --spool.dir: only who scrapes gets anything")}


def test_a_spool_without_a_target(tmp_path: Path) -> None:
    """What it holds, of how much, and that nothing is sent; an agent that writes to it is no fault."""
    spool = Spool(str(tmp_path))
    found = told(spool__dir=str(tmp_path), spool__max_bytes="64MiB")
    spool.close()
    assert found["spool"][0] == "ok"
    assert found["spool"][1].endswith("0.0 MiB of 64 MiB at most; an agent writes to it")
    assert found["push"][0] == "none"
    assert "an agent writes" not in told(spool__dir=str(tmp_path))["spool"][1]


def test_a_spool_that_will_be_made(tmp_path: Path) -> None:
    """Nothing is made by looking."""
    assert told(spool__dir=str(tmp_path / "a" / "b"))["spool"][0] == "ok"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.needs("root")
def test_a_spool_that_is_root_s(tmp_path: Path) -> None:
    """What the init container is for: without it nothing is kept, and doctor says whom to blame."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        os.write(writer, repr(told(spool__dir="/root/spool")["spool"]).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with open(reader) as said:
        assert "cannot be written by user 65534: nothing is kept" in said.read()


@pytest.mark.needs("openssl")
def test_an_aggregator_that_is_who_it_should_be(place: Path, listening: int, tmp_path: Path) -> None:
    """CA, token and target, each well."""
    found = told(
        push__target=f"127.0.0.1:{listening}",
        push__tls_ca=str(place / "ca.pem"),
        push__token_file=token(tmp_path, **on("worker-1")),
        node_name="worker-1",
        spool__dir=str(tmp_path),
    )
    assert {subject: state for subject, (state, _) in found.items()} == dict.fromkeys(
        ("spool", "aggregator CA", "aggregator token", f"aggregator 127.0.0.1:{listening}"), "ok"
    )
    assert found["aggregator token"][1] == "of node worker-1, for headroom-aggregator, for 10 min more"


@pytest.mark.needs("openssl")
def test_an_aggregator_that_is_another(place: Path, listening: int, tmp_path: Path) -> None:
    """A name that its certificate lacks, a CA that did not sign it, nobody there."""
    other = certificates.make(tmp_path, "worker-2")
    by_name = told(push__target=f"localhost:{listening}", push__tls_ca=str(place / "ca.pem"))
    by_ca = told(push__target=f"127.0.0.1:{listening}", push__tls_ca=str(other / "ca.pem"))
    assert "Hostname mismatch" in by_name[f"aggregator localhost:{listening}"][1]
    assert "certificate verify failed" in by_ca[f"aggregator 127.0.0.1:{listening}"][1]
    nobody = told(push__target="127.0.0.1:1", push__tls_ca=str(place / "ca.pem"))["aggregator 127.0.0.1:1"]
    assert nobody[0] == "lost"
    assert "records wait in the spool" in nobody[1]


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        (on("worker-2"), "of node worker-2, and --node-name is worker-1: it will be denied"),
        ({}, "it names no node. Kubernetes before 1.30 puts none into tokens"),
        ({"kubernetes.io": {"node": "x"}}, "it names no node"),
        ({"exp": 1}, "the kubelet should have replaced it"),
    ],
)
def test_a_token_that_will_be_denied(claims: dict[str, Any], said: str, tmp_path: Path) -> None:
    """Before anything is sent."""
    flags = {"push__target": "127.0.0.1:1", "push__tls_ca": "/x", "node_name": "worker-1"}
    state, detail = told(**flags, push__token_file=token(tmp_path, **claims))["aggregator token"]
    assert (state, said in detail) == ("lost", True), detail


@pytest.mark.parametrize("content", [b"a-secret", b"a.b.c", b"..", b"\xff\xfe", b"a.W10.c", b""])
def test_a_token_of_another_kind(content: bytes, tmp_path: Path) -> None:
    """Costs no more than its line, whatever it is."""
    (tmp_path / "token").write_bytes(content)
    flags = {"push__target": "127.0.0.1:1", "push__tls_ca": "/x"}
    assert told(**flags, push__token_file=str(tmp_path / "token"))["aggregator token"][0] in ("none", "lost")


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    """No spool, no CA, nothing that says which node this is; a token that is not there."""
    found = told(push__target="127.0.0.1:1")
    assert {subject: state for subject, (state, _) in found.items()} == dict.fromkeys(
        ("spool", "aggregator CA", "aggregator identity", "aggregator 127.0.0.1:1"), "lost"
    )
    missing = told(push__target="127.0.0.1:1", push__token_file=str(tmp_path / "no"))["aggregator token"]
    assert missing[0] == "lost"
    assert "No such file" in missing[1]


@pytest.mark.needs("openssl")
def test_certificates_and_plaintext(place: Path, listening: int) -> None:
    """A certificate that fits its key, one that does not; and that plaintext is a decision."""
    flags = {"push__target": f"127.0.0.1:{listening}", "push__tls_ca": str(place / "ca.pem")}
    pair = {"push__tls_cert": str(place / "worker-1.pem"), "push__tls_key": str(place / "worker-1.key")}
    assert told(**flags, **pair)["aggregator certificate"][0] == "ok"
    wrong = told(**flags, **{**pair, "push__tls_key": str(place / "server.key")})["aggregator certificate"]
    assert wrong[0] == "lost"
    open_ = told(push__target=f"127.0.0.1:{listening}", push__insecure="true")
    assert open_["push TLS"][0] == "lost"
    assert open_[f"aggregator 127.0.0.1:{listening}"][0] == "ok"
