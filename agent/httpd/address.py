"""Listen addresses: ``127.0.0.1:9910``, ``[::1]:9910``, ``:9910`` (every address, IPv6 and IPv4), ``name:9910``."""

from __future__ import annotations

import errno
import socket
from typing import NamedTuple

from agent.errors import AgentError, ConfigError


class ListenError(AgentError):
    """The address cannot be listened on; the text says why in one line."""


class Address(NamedTuple):
    """Where to listen. An empty host is every address."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        return self.host in ("::1", "localhost") or self.host.startswith("127.")


def parse_address(text: str) -> Address:
    """Raises ConfigError with the expected form."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ConfigError(f"{text!r} is not an address: an IPv6 address goes in brackets, as in [::1]:9910")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"{text!r} is not an address: expected HOST:PORT, [IPv6]:PORT or :PORT")
    return Address(host, int(port))


def listen(address: Address, backlog: int = 128) -> socket.socket:
    """A listening socket. Raises ListenError for a port in use, a foreign address, a name that does not resolve."""
    try:
        if not address.host:
            return _listen_everywhere(address.port, backlog)
        # as bytes: for a str, Python loads its tables of international domain names, more than 1 MiB
        family, kind, proto, _, where = socket.getaddrinfo(
            address.host.encode(), address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, proto)
        return _bound(sock, where, backlog)
    except OSError as error:
        why = "the port is in use" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
        raise ListenError(f"cannot listen on {address}: {why}") from None


def _listen_everywhere(port: int, backlog: int) -> socket.socket:
    try:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        return _bound(sock, ("::", port), backlog)
    except OSError as error:
        if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            raise
    return _bound(socket.socket(socket.AF_INET, socket.SOCK_STREAM), ("0.0.0.0", port), backlog)


def _bound(sock: socket.socket, where: object, backlog: int) -> socket.socket:
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)  # type: ignore[arg-type]  # getaddrinfo's tuple fits its own family
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return sock
