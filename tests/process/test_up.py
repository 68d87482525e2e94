"""``headroom up`` and ``headroom agent`` as processes, the way people run them."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.httpd.serving import make_certificate

PATIENCE_S = 20
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts ``headroom ARGUMENTS`` on a free port; ends it with the test."""
    started: list[subprocess.Popen[str]] = []

    def one(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "agent.cli", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield one
    for process in started:
        process.kill()
        process.communicate(timeout=PATIENCE_S)


def url_of(process: subprocess.Popen[str]) -> tuple[str, int]:
    """Scheme and port, from the line that says it serves."""
    assert process.stderr is not None
    for line in process.stderr:
        if " url=" in line:
            scheme, _, rest = line.split(" url=")[1].split()[0].partition("://")
            return scheme, int(rest.rpartition(":")[2])
    pytest.fail("it ended without serving")


def get(port: int, path: str, context: ssl.SSLContext | None = None, **headers: str) -> tuple[int, bytes]:
    if context is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    else:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE_S, context=context)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_serves_and_ends_within_a_second(start: Start, number: int) -> None:
    """It prints where it serves, answers there, and ends with 0 within a second, an idle connection or not."""
    process = start("up", "--no-aggregator", "--listen", "127.0.0.1:0")
    _, port = url_of(process)
    with socket.create_connection(("127.0.0.1", port)):
        status, body = get(port, "/metrics")
        assert status == 200
        assert b"node_memory_MemTotal_bytes " in body
        sent_s = time.monotonic()
        process.send_signal(number)
        out, _ = process.communicate(timeout=PATIENCE_S)
        assert time.monotonic() - sent_s < 1.0
    assert process.returncode == 0
    assert f"http://127.0.0.1:{port}/metrics" in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_streams_to_an_aggregator_of_its_own(start: Start, number: int) -> None:
    """The node's metrics are at the aggregator's address too, and both processes end within a second."""
    anywhere = [f"--{name}=127.0.0.1:0" for name in ("listen", "grpc-listen", "http-listen")]
    process = start("up", *anywhere, "--push.interval=100ms", "--node-name=n1")
    url_of(process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 1
    assert process.stdout is not None
    said = ""
    while "Ctrl-C" not in said:
        line = process.stdout.readline()
        assert line
        said += line
    after = (said.split(f"{name} on\n  http://127.0.0.1:")[1] for name in ("node", "aggregator"))
    mine, theirs = (int(one.split("/")[0]) for one in after)
    until_s = time.monotonic() + PATIENCE_S
    while "node_load1 " not in _page(theirs, "/clusters/default/nodes/n1/metrics"):
        assert time.monotonic() < until_s
        time.sleep(0.05)
    assert "node_load1 " in _page(mine, "/metrics")
    sent_s = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=PATIENCE_S)
    assert time.monotonic() - sent_s < 1.0
    assert process.returncode == 0
    assert not Path(f"/proc/{children[0]}").exists()


def _page(port: int, path: str) -> str:
    """Empty while it is not there."""
    try:
        status, body = get(port, path)
    except OSError:
        return ""
    return body.decode() if status == 200 else ""


def test_tls_and_a_token_guard_the_whole_agent(start: Start, tmp_path: Path) -> None:
    """Over HTTPS with a bearer token there are metrics; without the token there are none."""
    make_certificate(tmp_path, "ca", "/CN=test-ca")
    make_certificate(tmp_path, "server", "/CN=server", signed_by="ca")
    (tmp_path / "token").write_text("secret\n")
    files = (f"--http.tls-cert={tmp_path}/server.pem", f"--http.tls-key={tmp_path}/server.key")
    process = start("agent", "--listen", "127.0.0.1:0", *files, f"--http.token-file={tmp_path}/token")
    scheme, port = url_of(process)
    assert scheme == "https"
    context = ssl.create_default_context(cafile=f"{tmp_path}/ca.pem")
    assert get(port, "/metrics", context)[0] == 401
    status, body = get(port, "/metrics", context, Authorization="Bearer secret")
    assert status == 200
    assert b"node_load1 " in body


def test_silent_clients_do_not_keep_a_scraper_out(start: Start) -> None:
    """With hundreds of silent connections open a scrape is answered, and what happened to them is counted."""
    process = start("agent", "--listen", "127.0.0.1:0", "--http.max-connections", "8")
    _, port = url_of(process)
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    try:
        status, body = get(port, "/metrics")
    finally:
        for sock in silent:
            sock.close()
    assert status == 200
    lines = [line.rpartition(" ") for line in body.decode().splitlines() if line.startswith("headroom_http_")]
    counts = {series: float(value) for series, _, value in lines}
    assert counts['headroom_http_refused_total{reason="displaced"}'] >= 192
    assert counts["headroom_http_connections"] <= 8


def test_nothing_leaks_over_many_scrapes(start: Start) -> None:
    """After the first scrapes, hundreds more leave no descriptor and no thread behind."""
    process = start("agent", "--listen", "127.0.0.1:0")
    _, port = url_of(process)
    place = Path(f"/proc/{process.pid}")

    def held() -> tuple[int, int]:
        return len(os.listdir(place / "fd")), len(os.listdir(place / "task"))

    for _ in range(5):
        get(port, "/metrics")
    before = held()
    for _ in range(200):
        assert get(port, "/metrics")[0] == 200
    until = time.monotonic() + PATIENCE_S
    while held() > before and time.monotonic() < until:
        get(port, "/healthz")  # the thread of the last connection is on its way out
    descriptors, threads = held()
    assert descriptors <= before[0] + 1
    assert threads <= before[1] + 1
