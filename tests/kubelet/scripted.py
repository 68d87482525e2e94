"""A kubelet that says what the test wants, over real TLS, with certificates made by openssl."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from tests.kubelet.bodies import body, flagz

DOCUMENTS: Final = {"/pods": "pods", "/stats/summary": "stats_summary", "/configz": "configz"}
FLAGZ: Final = "/flagz"  # besides those three, for who asks
NODE: Final = "worker-1"  # the only name in a certificate that a kubelet made for itself
_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
_CA: Final = """
[ca]
default_ca = d
[d]
database = {place}/index
new_certs_dir = {place}
serial = {place}/serial
default_md = sha256
policy = p
copy_extensions = copy
unique_subject = no
[p]
commonName = supplied
"""


def make_certificates(place: Path) -> None:
    """``ca``; ``signed``, ``elsewhere`` and ``expired`` by that CA; ``own`` and ``bare`` by themselves.

    ``kubeadm`` is as a kubelet makes it: by a CA of its own, which is in the same file.
    """
    _openssl("req", "-x509", *_KEY, "-days", "2", "-subj", "/CN=test-ca", *_files(place, "ca"))
    (place / "ca.cnf").write_text(_CA.format(place=place))
    (place / "index").touch()
    (place / "serial").write_text("01\n")
    _sign(place, "signed", "IP:127.0.0.1,IP:::1,DNS:worker-1")
    _sign(place, "elsewhere", "IP:10.9.8.7,DNS:worker-2")
    _sign(place, "expired", "IP:127.0.0.1", "-startdate", "20200101000000Z", "-enddate", "20200201000000Z")
    own = ("-x509", *_KEY, "-days", "2", "-subj", "/CN=worker-1@1700000000")
    _openssl("req", *own, "-addext", f"subjectAltName=DNS:{NODE}", *_files(place, "own"))
    _openssl("req", *own, *_files(place, "bare"))
    _openssl("req", "-x509", *_KEY, "-days", "2", "-subj", "/CN=worker-1-ca@1700000000", *_files(place, "own-ca"))
    issuer = ("-CA", f"{place}/own-ca.pem", "-CAkey", f"{place}/own-ca.key")
    _openssl("req", *own, *issuer, "-addext", f"subjectAltName=DNS:{NODE}", *_files(place, "kubeadm"))
    with (place / "kubeadm.pem").open("a") as file:
        file.write((place / "own-ca.pem").read_text())


def _files(place: Path, name: str) -> tuple[str, ...]:
    return "-keyout", f"{place}/{name}.key", "-out", f"{place}/{name}.pem"


def _sign(place: Path, name: str, names: str, *dates: str) -> None:
    """A certificate of the CA, for these names."""
    request = f"{place}/{name}.csr"
    subject = ("-subj", f"/CN=system:node:{name}", "-addext", f"subjectAltName={names}")
    _openssl("req", "-new", *_KEY, *subject, "-keyout", f"{place}/{name}.key", "-out", request)
    signed = ("-cert", f"{place}/ca.pem", "-keyfile", f"{place}/ca.key", "-in", request, "-out", f"{place}/{name}.pem")
    _openssl("ca", "-batch", "-notext", "-config", f"{place}/ca.cnf", *(dates or ("-days", "2")), *signed)


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def server_context(place: Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / f"{name}.pem", place / f"{name}.key")
    return context


class Handler(BaseHTTPRequestHandler):
    """One connection. ``answer`` is what a script calls to answer."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every answer waits 40 ms between its head and its body
    server: ScriptedKubelet

    def do_GET(self) -> None:
        self.server.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.server.script.get(self.path, recorded)(self)

    def answer(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content_type": "application/json", "content_length": str(len(content)), **headers}.items():
            if value:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


Script = Callable[[Handler], None]


class ScriptedKubelet(ThreadingHTTPServer):
    """``script`` says what to do for a path; every other is answered as recorded. ``requests`` are those that came."""

    daemon_threads = False
    block_on_close = True

    def __init__(self, context: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), Handler)
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.connections = 0
        self.script: dict[str, Script] = {}
        self.released = threading.Event()  # ends every answer that hangs
        self.context = context
        self.port: int = self.server_address[1]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if context else 'http'}://{shown}:{self.port}"
        self.thread = threading.Thread(target=partial(self.serve_forever, 0.01), daemon=True)
        self.thread.start()

    def finish_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        request.settimeout(20)
        if self.context is not None:
            request = self.context.wrap_socket(request, server_side=True)
        try:
            super().finish_request(request, client_address)
        finally:
            request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A peer that does not like us, or what we say, is what these tests are about."""

    def stop(self) -> None:
        self.released.set()
        self.shutdown()
        self.thread.join(10)
        self.server_close()
        assert not self.thread.is_alive()


def recorded(handler: Handler, recording: str = "idle") -> None:
    """As the real one answered."""
    if handler.path == FLAGZ:
        handler.answer(200, flagz(recording), content_type="text/plain; charset=utf-8")
        return
    if handler.path not in DOCUMENTS:
        handler.answer(404, b"404 page not found\n", content_type="text/plain")
        return
    handler.answer(200, body(recording, DOCUMENTS[handler.path]))


def says(status: int, content: bytes = b"", **headers: str) -> Script:
    """This status, body and headers."""
    return lambda handler: handler.answer(status, content, **headers)


def forbidden(handler: Handler) -> None:
    """As a kubelet of 1.36 says it."""
    wanted = {"/stats/summary": "stats", "/pods": "pods proxy"}.get(handler.path, "configz proxy")
    text = f"Forbidden (user=system:serviceaccount:x:y, verb=get, resource=nodes, subresource(s)=[{wanted}])"
    handler.answer(403, text.encode(), content_type="text/plain; charset=utf-8")


def forbidden_before_133(handler: Handler) -> None:
    """As a kubelet says it that knows only nodes/proxy."""
    text = b"Forbidden (user=system:serviceaccount:x:y, verb=get, resource=nodes, subresource=proxy)"
    handler.answer(403, text, content_type="text/plain; charset=utf-8")


def hang(handler: Handler) -> None:
    """Takes the request and says nothing."""
    handler.close_connection = True
    handler.server.released.wait(20)


def drip(handler: Handler) -> None:
    """A header that never ends, a byte at a time."""
    handler.close_connection = True
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    while not handler.server.released.wait(0.02):
        handler.wfile.write(b"x")


def drip_body(handler: Handler) -> None:
    """A body that comes, but not in time."""
    handler.close_connection = True
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{")
    while not handler.server.released.wait(0.02):
        handler.wfile.write(b" ")


def endless(handler: Handler) -> None:
    """A chunked body without an end."""
    handler.close_connection = True
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    while not handler.server.released.is_set():
        handler.wfile.write(chunk)


def truncated(handler: Handler) -> None:
    """Promises more than it sends."""
    handler.close_connection = True
    content = body("idle", DOCUMENTS[handler.path])
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content[:1000])


def reset(handler: Handler) -> None:
    """Ends the connection with a reset instead of an answer."""
    handler.close_connection = True
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    _close_fd(handler.connection)


def _close_fd(sock: socket.socket) -> None:
    """Of the TCP socket itself, so that TLS does not say goodbye first."""
    socket.close(sock.detach())


def garbage(handler: Handler) -> None:
    """Another protocol."""
    handler.close_connection = True
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n")


def chunked(handler: Handler) -> None:
    """As Go answers when it does not know the length."""
    content = body("idle", DOCUMENTS[handler.path])
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    for start in range(0, len(content), 4096):
        part = content[start : start + 4096]
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
    handler.wfile.write(b"0\r\n\r\n")


def until_closed(handler: Handler) -> None:
    """As HTTP/1.0 answers: the end of the connection is the end of the body."""
    handler.close_connection = True
    handler.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n")
    handler.wfile.write(body("idle", DOCUMENTS[handler.path]))
