"""One request to the kubelet, and everything that may become of it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import ConfigError
from agent.sources.kubelet.client import Client, Limits
from agent.sources.kubelet.endpoint import Endpoint, parse_endpoint
from agent.sources.kubelet.failure import Failed
from agent.sources.kubelet.trust import Trust
from tests.kubelet import scripted
from tests.kubelet.bodies import body, flagz
from tests.kubelet.conftest import Start
from tests.kubelet.scripted import Script, ScriptedKubelet, says

pytestmark = pytest.mark.needs("openssl")
SMALL = Limits(body_bytes=1 << 20, seconds=0.5)
NAMES = {"/pods": "pods", "/stats/summary": "stats_summary", "/configz": "configz"}


@pytest.fixture
def kubelet(start: Start) -> ScriptedKubelet:
    return start("signed")


@pytest.fixture
def client(kubelet: ScriptedKubelet, certificates: Path) -> Iterator[Client]:
    client = Client(parse_endpoint(kubelet.url), Trust(str(certificates / "ca.pem")), limits=SMALL)
    yield client
    client.close()


def cause_of(client: Client, path: str = "/pods") -> tuple[str, int | None]:
    with pytest.raises(Failed) as failed:
        client.get(path)
    return failed.value.cause, failed.value.status


def test_the_three_documents_come_on_one_connection(kubelet: ScriptedKubelet, client: Client) -> None:
    """Byte for byte, without compression, and only by GET of the three paths."""
    for path, name in NAMES.items():
        assert client.get(path) == body("idle", name)
    assert [path for path, _ in kubelet.requests] == list(NAMES)
    assert {headers["accept-encoding"] for _, headers in kubelet.requests} == {"identity"}
    assert {headers["host"] for _, headers in kubelet.requests} == {kubelet.url.removeprefix("https://")}
    assert kubelet.connections == 1


def test_an_answer_may_be_text(kubelet: ScriptedKubelet, client: Client) -> None:
    """Where it was asked for, and then nothing else may come."""
    assert client.get("/flagz", "text/plain") == flagz("idle")
    assert client.get("/pods") == body("idle", "pods")
    assert [headers["accept"] for _, headers in kubelet.requests] == ["text/plain", "application/json"]
    with pytest.raises(Failed, match="text/plain instead of application/json"):
        client.get("/flagz")
    with pytest.raises(Failed, match="application/json instead of text/plain"):
        client.get("/pods", "text/plain")


@pytest.mark.parametrize("script", [scripted.chunked, scripted.until_closed])
def test_other_shapes_of_an_answer(kubelet: ScriptedKubelet, client: Client, script: Script) -> None:
    """A body in chunks, and one that ends with its connection; the next request gets a connection that works."""
    kubelet.script["/pods"] = script
    for _ in range(2):
        assert client.get("/pods") == body("idle", "pods")
        assert client.get("/configz") == body("idle", "configz")


@pytest.mark.parametrize(
    ("script", "cause", "status"),
    [
        (says(401, b"Unauthorized"), "unauthorized", 401),
        (scripted.forbidden, "forbidden", 403),
        (says(404, b"404 page not found"), "not_found", 404),
        (says(500, b"Internal Error: failed to get imageFs stats"), "server_error", 500),
        (says(503), "server_error", 503),
        (says(429), "status", 429),
        (says(204), "status", 204),
        (says(302, Location="https://example.com/pods"), "redirect", 302),
        (says(403, b"x" * 10_000_000), "forbidden", 403),
        (scripted.hang, "timeout", None),
        (scripted.drip, "timeout", None),
        (scripted.drip_body, "timeout", None),
        (says(200, b" " * 40_000_000), "too_large", 200),
        (scripted.endless, "too_large", 200),
        (scripted.truncated, "truncated", 200),
        (says(200, b"<html>", content_type="text/html; charset=utf-8"), "content_type", 200),
        (says(200, b"{}", content_encoding="gzip"), "encoding", 200),
        (scripted.reset, "reset", None),
        (scripted.garbage, "protocol", None),
        (says(200, b"{}", x="y" * 200_000), "protocol", None),
    ],
)  # fmt: skip
def test_every_failure_has_its_cause(
    kubelet: ScriptedKubelet, client: Client, script: Script, cause: str, status: int | None
) -> None:
    """It ends in time, costs its own path, and the next request is answered."""
    kubelet.script["/stats/summary"] = script
    assert client.get("/pods") == body("idle", "pods")
    began_s = time.monotonic()
    assert cause_of(client, "/stats/summary") == (cause, status)
    assert time.monotonic() - began_s < 4 * SMALL.seconds
    assert client.get("/configz") == body("idle", "configz")


def test_what_the_kubelet_says_of_a_refusal_is_quoted(kubelet: ScriptedKubelet, client: Client) -> None:
    """It names the subresource that would have sufficed."""
    kubelet.script["/stats/summary"] = scripted.forbidden
    with pytest.raises(Failed, match=r"status 403: Forbidden \(.*subresource\(s\)=\[stats\]\)"):
        client.get("/stats/summary")


def test_a_body_too_large_is_not_read(kubelet: ScriptedKubelet, client: Client) -> None:
    """Its length is known from the header: the connection ends before the body has come."""
    sent: list[str] = []

    def large(handler: scripted.Handler) -> None:
        handler.close_connection = True
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 40000000\r\n\r\n")
        try:
            for _ in range(40):
                handler.wfile.write(b" " * 1_000_000)
            sent.append("all")
        except OSError:
            sent.append("in part")

    kubelet.script["/pods"] = large
    assert cause_of(client) == ("too_large", 200)
    kubelet.stop()
    kubelet.stop = lambda: None  # type: ignore[method-assign]  # it has been
    assert sent == ["in part"]


def test_an_error_whose_body_hangs_is_still_that_error(kubelet: ScriptedKubelet, client: Client) -> None:
    """The status is what counts."""

    def slow(handler: scripted.Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nForb")
        scripted.hang(handler)

    kubelet.script["/pods"] = slow
    assert cause_of(client) == ("forbidden", 403)


def test_nobody_listens() -> None:
    """A kubelet that is not up yet."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        endpoint = Endpoint(True, "127.0.0.1", sock.getsockname()[1])
        assert cause_of(Client(endpoint, Trust(insecure=True), limits=SMALL)) == ("refused", None)


def test_who_does_not_shake_hands() -> None:
    """A port that accepts and says nothing costs the time limit."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        endpoint = Endpoint(True, "127.0.0.1", sock.getsockname()[1])
        assert cause_of(Client(endpoint, Trust(insecure=True), limits=SMALL)) == ("timeout", None)


def test_a_name_that_does_not_resolve() -> None:
    """Names under .invalid never do."""
    client = Client(Endpoint(True, "kubelet.invalid", 1), Trust(insecure=True), limits=SMALL)
    assert cause_of(client) == ("unreachable", None)


@pytest.mark.parametrize("certificate", ["signed", ""])
def test_ipv6_literals(start: Start, certificates: Path, certificate: str) -> None:
    """With and without TLS; the Host header has the brackets."""
    kubelet = start(certificate, "::1")
    client = Client(parse_endpoint(kubelet.url), Trust(str(certificates / "ca.pem")), limits=SMALL)
    assert client.get("/pods") == body("idle", "pods")
    client.close()
    assert kubelet.requests[0][1]["host"] == f"[::1]:{kubelet.port}"


def test_a_proxy_is_never_asked(kubelet: ScriptedKubelet, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says."""
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert client.get("/pods") == body("idle", "pods")


def test_the_token_is_read_for_every_request(kubelet: ScriptedKubelet, certificates: Path, tmp_path: Path) -> None:
    """It is replaced every hour; spaces around it are not part of it."""
    file = tmp_path / "token"
    client = Client(parse_endpoint(kubelet.url), Trust(str(certificates / "ca.pem")), str(file), SMALL)
    for token in ("first", "second"):
        file.write_text(f"{token}\n")
        client.get("/pods")
    client.close()
    assert [headers["authorization"] for _, headers in kubelet.requests] == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize("content", [None, b"", b"a b", b"a\r\nX-Remote-User: root", b"\xff", b"a\0"])
def test_a_token_that_cannot_be_used(
    kubelet: ScriptedKubelet, certificates: Path, tmp_path: Path, content: bytes | None
) -> None:
    """Nothing is sent instead of it; it cannot become a header of its own."""
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    client = Client(parse_endpoint(kubelet.url), Trust(str(certificates / "ca.pem")), str(tmp_path / "token"), SMALL)
    assert cause_of(client) == ("files", None)
    assert kubelet.requests == []


def test_the_service_accounts_token_is_only_for_tls(
    start: Start, certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On loopback without TLS only a token that was named is sent."""
    (tmp_path / "token").write_text("t")
    monkeypatch.setattr("agent.sources.kubelet.client.SERVICE_ACCOUNT_TOKEN", str(tmp_path / "token"))
    for certificate, named, expected in (("signed", "", "Bearer t"), ("", "", None), ("", "token", "Bearer t")):
        kubelet = start(certificate)
        file = str(tmp_path / named) if named else ""
        client = Client(parse_endpoint(kubelet.url), Trust(str(certificates / "ca.pem")), file, SMALL)
        client.get("/pods")
        client.close()
        assert kubelet.requests[0][1].get("authorization") == expected


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://10.0.0.5:10250", Endpoint(True, "10.0.0.5", 10250)),
        ("https://node-1.example.com", Endpoint(True, "node-1.example.com", 10250)),
        ("https://[fd00::5]:10250/", Endpoint(True, "fd00::5", 10250)),
        ("https://fd00::5:10250", Endpoint(True, "fd00::5", 10250)),
        ("https://2001:db8:1:2:3:4:5:6:10250/", Endpoint(True, "2001:db8:1:2:3:4:5:6", 10250)),
        ("https://::ffff:10.0.0.5:10250", Endpoint(True, "::ffff:10.0.0.5", 10250)),
        ("http://127.0.0.1", Endpoint(False, "127.0.0.1", 10255)),
        ("http://[::1]:80", Endpoint(False, "::1", 80)),
        ("http://localhost:10255", Endpoint(False, "localhost", 10255)),
    ],
)
def test_urls(url: str, endpoint: Endpoint) -> None:
    """With the ports that a kubelet has where none is said."""
    assert parse_endpoint(url) == endpoint


@pytest.mark.parametrize(
    "url",
    ["", "10.0.0.5:10250", "https://", "https://a/pods", "https://a:0", "https://a:65536", "https://fd00::5", "ftp://a"]
    + ["https://u:p@a", "https://a?x", "http://10.0.0.5", "http://127.evil.com", "http://[fd00::5]:1", "https://-a"]
    # without brackets only what cannot be read in two ways, and is an address
    + ["https://fd00::5:4443", "https://fd00::5:99999", "https://fd00:10250:1", "https://fd00:5:10250"]
    + ["https://1:2:3:4:5:6:7:8:9:10250", "http://fd00::5:10250"]
    + ["https://a b", "https://a\r\nX: y", "https://$(NODE_IP):10250"],
)  # fmt: skip
def test_urls_that_are_refused(url: str) -> None:
    """Other shapes, and other machines without TLS."""
    with pytest.raises(ConfigError, match=r"--kubelet\.url"):
        parse_endpoint(url)
