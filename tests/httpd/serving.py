"""A real server on a real socket, with a handler that the test may hold; and certificates made by openssl."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable

from agent.httpd.address import Address, listen
from agent.httpd.connection import Limits
from agent.httpd.message import Request, Response
from agent.httpd.server import Server

REQUEST = b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


class Recorder:
    """An Observer that remembers."""

    def __init__(self) -> None:
        self.refusals: list[str] = []
        self.answers: list[int] = []
        self.open = 0

    def answered(self, request: Request, status: int, seconds: float) -> None:
        self.answers.append(status)

    def refused(self, reason: str) -> None:
        self.refusals.append(reason)

    def connections(self, number: int) -> None:
        self.open = number


class Running:
    """A server under test. ``hold`` makes requests for /held wait until it is set."""

    def __init__(self, limits: Limits, tls: Callable[[], object] | None, listener: socket.socket | None = None) -> None:
        self.observer = Recorder()
        self.hold = threading.Event()
        self.held = threading.Semaphore(0)
        listener = listener or listen(Address("127.0.0.1", 0))
        self.port: int = listener.getsockname()[1]
        self.server = Server(listener, self._answer, self.observer, tls, limits)  # type: ignore[arg-type]
        self.thread = threading.Thread(target=self.server.serve)
        self.thread.start()

    def _answer(self, request: Request) -> Response:
        if request.path == "/held":
            self.held.release()
            self.hold.wait(30)
        if request.path == "/defect":
            raise KeyError("a defect")
        if request.path == "/large":
            return Response(200, b"x" * 50_000_000)
        return Response(200, f"{request.method} {request.path} {request.query}".encode())

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 10)

    def exchange(self, data: bytes) -> bytes:
        """Everything the server says to these bytes until it closes."""
        with self.connect() as sock:
            sock.sendall(data)
            return everything(sock)

    def stop(self) -> None:
        self.hold.set()
        self.server.stop()
        self.thread.join(5)
        assert not self.thread.is_alive()


def everything(sock: socket.socket) -> bytes:
    """Until the end of the stream, or the reset that a client gets whose request arrives after it was turned away."""
    parts = []
    try:
        while part := sock.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def make_certificate(place: object, name: str, subject: str, signed_by: str = "") -> None:
    issuer = ["-CA", f"{place}/{signed_by}.pem", "-CAkey", f"{place}/{signed_by}.key"] if signed_by else []
    names = ["-addext", "subjectAltName=IP:127.0.0.1"] if signed_by else []
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    out = ["-subj", subject, "-keyout", f"{place}/{name}.key", "-out", f"{place}/{name}.pem"]
    subprocess.run(["openssl", "req", "-x509", *key, *issuer, *names, *out], check=True, capture_output=True)
