"""Listen addresses, TLS, client certificates, tokens and passwords, on real sockets and files."""

from __future__ import annotations

import base64
import os
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.errors import ConfigError
from agent.httpd.address import ListenError, listen, parse_address
from agent.httpd.connection import Limits
from agent.httpd.credentials import Credentials
from agent.httpd.message import Request
from agent.httpd.tls import server_context
from tests.httpd.serving import REQUEST, Running, everything, make_certificate


def ask(port: int, trust: Path, client: Path | None = None) -> bytes:
    """One HTTPS request; raises what ssl raises."""
    context = ssl.create_default_context(cafile=str(trust))
    if client is not None:
        context.load_cert_chain(f"{client}.pem", f"{client}.key")
    plain = socket.create_connection(("127.0.0.1", port), 10)
    with context.wrap_socket(plain, server_hostname="127.0.0.1") as sock:
        sock.sendall(REQUEST)
        return sock.recv(65536)


def test_tls_serves_and_follows_its_files(serve: Callable[..., Running], authority: Path, tmp_path: Path) -> None:
    """HTTPS answers; a replaced certificate is used from the next connection on; a broken one changes nothing."""
    make_certificate(tmp_path, "other", "/CN=other-ca")
    for name in ("pem", "key"):
        (tmp_path / f"live.{name}").write_bytes((authority / f"server.{name}").read_bytes())
    context = server_context(f"{tmp_path}/live.pem", f"{tmp_path}/live.key", "")
    port = serve(tls=context.get).port
    assert b"200 OK" in ask(port, authority / "ca.pem")
    make_certificate(tmp_path, "new", "/CN=server", signed_by="other")
    for name in ("pem", "key"):
        os.replace(tmp_path / f"new.{name}", tmp_path / f"live.{name}")
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(port, authority / "ca.pem")
    assert b"200 OK" in ask(port, tmp_path / "other.pem")
    (tmp_path / "live.pem").write_text("half a certif")
    assert b"200 OK" in ask(port, tmp_path / "other.pem")


def test_a_client_ca_keeps_strangers_out(serve: Callable[..., Running], authority: Path) -> None:
    """Only a client with a certificate of the CA is answered; plain HTTP on that port is not."""
    context = server_context(f"{authority}/server.pem", f"{authority}/server.key", f"{authority}/ca.pem")
    running = serve(tls=context.get)
    assert b"200 OK" in ask(running.port, authority / "ca.pem", authority / "client")
    for stranger in (lambda: ask(running.port, authority / "ca.pem"), lambda: running.exchange(REQUEST)):
        try:
            answer = stranger()
        except (ssl.SSLError, ConnectionError):
            continue
        assert answer == b""
    assert "transport" in running.observer.refusals


def test_silent_handshakes_are_displaced(serve: Callable[..., Running], authority: Path) -> None:
    """Who connects and never shakes hands is bounded like everybody: its thread ends when its place is taken."""
    context = server_context(f"{authority}/server.pem", f"{authority}/server.key", "")
    running = serve(Limits(connections=2, head_s=600), tls=context.get)
    silent = [running.connect() for _ in range(20)]
    try:
        assert b"200 OK" in ask(running.port, authority / "ca.pem")
        for sock in silent[:18]:
            sock.settimeout(10)
            assert everything(sock) == b""
    finally:
        for sock in silent:
            sock.close()


def test_tls_files_that_cannot_be_used_are_said_at_start(tmp_path: Path) -> None:
    """A missing key or an unreadable certificate ends the start with one line."""
    with pytest.raises(ConfigError, match="needs both"):
        server_context("cert", "", "")
    (tmp_path / "some.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match=r"^cannot use .*none.key: No such file or directory$"):
        server_context(f"{tmp_path}/some.pem", f"{tmp_path}/none.key", "")
    with pytest.raises(ConfigError, match=r"cannot use .*some.pem, .*some.pem: "):
        server_context(f"{tmp_path}/some.pem", f"{tmp_path}/some.pem", "")


def test_a_key_with_a_passphrase_is_refused(authority: Path, tmp_path: Path) -> None:
    """Nobody is there to type it: OpenSSL would ask on the terminal, at start and in the middle of serving."""
    seal = ["openssl", "pkey", "-aes256", "-passout", "pass:x", "-in", f"{authority}/server.key"]
    subprocess.run([*seal, "-out", f"{tmp_path}/sealed.key"], check=True, capture_output=True)
    with pytest.raises(ConfigError, match=r"sealed.key: it needs a passphrase; give a key without one"):
        server_context(f"{authority}/server.pem", f"{tmp_path}/sealed.key", "")


def request(authorization: str) -> Request:
    return Request("GET", "/metrics", "", {"authorization": authorization} if authorization else {}, True)


def test_tokens_and_passwords_are_checked_and_reread(tmp_path: Path) -> None:
    """The right token or password is let in, all else is not, and a changed file counts from the next request."""
    tokens, users = tmp_path / "tokens", tmp_path / "users"
    tokens.write_text("# comment\none\n\ntwo\n")
    users.write_text("anna:secret with: colon\n")
    credentials = Credentials(str(tokens), str(users))
    basic = "Basic " + base64.b64encode(b"anna:secret with: colon").decode()
    assert [credentials.allow(request(a)) for a in ("Bearer one", "bearer two", basic)] == [True, True, True]
    refused = (
        "",
        "Bearer",
        "Bearer ",
        "Bearer on",
        "Bearer # comment",
        "Basic one",
        "Digest one",
        "Bearer \xff",
        basic[:-2],
    )
    assert [credentials.allow(request(a)) for a in refused] == [False] * len(refused)
    tokens.write_text("three\n")
    assert [credentials.allow(request(a)) for a in ("Bearer one", "Bearer three")] == [False, True]
    tokens.write_text("")
    assert credentials.allow(request("Bearer three"))  # an emptied file is a mistake, not an open or a locked door
    assert len(credentials.challenges()) == 2


def test_secrets_that_cannot_be_used_are_said_at_start(tmp_path: Path) -> None:
    """A missing or empty secret file, or a user without a password, is an error at start."""
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "users").write_text("anna\n")
    for token, basic in ((f"{tmp_path}/none", ""), (f"{tmp_path}/empty", ""), ("", f"{tmp_path}/users")):
        with pytest.raises(ConfigError):
            Credentials(token, basic)


@pytest.mark.parametrize("text", ["9910", "localhost", "::1:9910", "[::1]", "h:99999", "h:-1", "h:x", ""])
def test_what_is_not_an_address_is_refused(text: str) -> None:
    """Each wrong form is one line that shows the right one."""
    with pytest.raises(ConfigError, match=r"9910|PORT"):
        parse_address(text)


def test_addresses_of_both_families_can_be_listened_on() -> None:
    """IPv4, IPv6 in brackets, and every address at once; what only this machine reaches is known as such."""
    for text, loopback in (("127.0.0.1:0", True), ("[::1]:0", True), (":0", False)):
        address = parse_address(text)
        assert address.is_loopback is loopback
        listen(address).close()
    assert parse_address("localhost:0").is_loopback
    assert not parse_address("node-1.example:0").is_loopback
    assert str(parse_address("[::1]:9910")) == "[::1]:9910"


def test_a_name_that_does_not_resolve_is_said() -> None:
    """The error names the address."""
    address = parse_address("no-such-name.invalid:9910")
    with pytest.raises(ListenError, match=r"cannot listen on no-such-name.invalid:9910"):
        listen(address)


def test_a_port_in_use_is_said() -> None:
    """The error names the address and the reason."""
    with listen(parse_address("127.0.0.1:0")) as taken, pytest.raises(ListenError, match=r"the port is in use"):
        listen(parse_address(f"127.0.0.1:{taken.getsockname()[1]}"))
