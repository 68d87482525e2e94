"""GET from the kubelet, bounded: one document, 32 MiB and 10 s at most, never through a proxy, no redirect followed.

A connection lives for the requests of one round. The token is read for each, because it is replaced every hour.
Threads: one at a time.
"""

from __future__ import annotations

import socket
import time
from typing import Final, NamedTuple

from agent.sources.kubelet.endpoint import JSON, Endpoint
from agent.sources.kubelet.failure import Failed, from_network
from agent.sources.kubelet.response import ResponseReader
from agent.sources.kubelet.trust import Shaker, Trust

SERVICE_ACCOUNT_TOKEN: Final = "/var/run/secrets/kubernetes.io/serviceaccount/token"
TOKEN_BYTES_MAX: Final = 65536
RECEIVE_BYTES: Final = 65536


class Limits(NamedTuple):
    """For one request, from its connection to the last byte of its answer."""

    body_bytes: int = 32 << 20
    seconds: float = 10.0


class Client:
    """Asks one kubelet. An empty ``token_file`` is the service account's, where there is one, and only over TLS."""

    def __init__(self, endpoint: Endpoint, trust: Trust, token_file: str = "", limits: Limits = Limits()) -> None:
        self.endpoint = endpoint
        self._shaker = Shaker(trust, endpoint.host) if endpoint.secure else None
        self._token_file = token_file
        self._limits = limits
        self._sock: socket.socket | None = None

    def get(self, path: str, media_type: str = JSON) -> bytes:
        """The body of a 200 answer of this type. Raises Failed."""
        deadline_s = time.monotonic() + self._limits.seconds
        token = self._token(path)
        reader = ResponseReader(path, self._limits.body_bytes, media_type)
        try:
            sock = self._connection(path, deadline_s)
            sock.settimeout(_left(deadline_s))
            sock.sendall(self._request(path, media_type, token))
            while not reader.done:
                sock.settimeout(_left(deadline_s))
                reader.feed(sock.recv(RECEIVE_BYTES))
        except Failed:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise (reader.refusal() or from_network(path, error)) from None
        if not reader.keep_alive:
            self.close()
        return reader.body()

    def close(self) -> None:
        """Ends the connection of this round."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _connection(self, path: str, deadline_s: float) -> socket.socket:
        if self._sock is None:
            sock = connect(self.endpoint, deadline_s)
            try:
                sock.settimeout(_left(deadline_s))
                self._sock = self._shaker.wrap(sock, path) if self._shaker else sock
            except BaseException:
                sock.close()
                raise
        return self._sock

    def _request(self, path: str, media_type: str, token: str) -> bytes:
        lines = [f"GET {path} HTTP/1.1", f"Host: {self.endpoint.authority}"]
        lines += ["User-Agent: headroom-agent", f"Accept: {media_type}", "Accept-Encoding: identity"]
        if token:
            lines.append(f"Authorization: Bearer {token}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")

    def _token(self, path: str) -> str:
        if not self._token_file and self._shaker is None:
            return ""
        name = self._token_file or SERVICE_ACCOUNT_TOKEN
        try:
            with open(name, "rb") as file:
                token = file.read(TOKEN_BYTES_MAX).strip()
        except FileNotFoundError:
            if not self._token_file:
                return ""  # not in a pod
            raise Failed(path, "files", f"no token file {name}") from None
        except OSError as error:
            raise Failed(path, "files", f"cannot read the token file {name}: {error.strerror}") from None
        text = token.decode("ascii", "replace")
        if not text or not text.isascii() or not text.isprintable() or " " in text:
            raise Failed(path, "files", f"the token file {name} does not hold one token")
        return text


def connect(endpoint: Endpoint, deadline_s: float) -> socket.socket:
    """To the first address that takes it, with what is left of the time. Raises OSError."""
    # as bytes: for a str, Python loads its tables of international domain names, more than 1 MiB
    found = socket.getaddrinfo(endpoint.host.encode(), endpoint.port, type=socket.SOCK_STREAM)
    failure: OSError = OSError("no address")
    for family, kind, proto, _, address in found:
        sock = socket.socket(family, kind, proto)
        try:
            sock.settimeout(_left(deadline_s))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        except OSError as error:
            sock.close()
            failure = error
    raise failure


def _left(deadline_s: float) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s
