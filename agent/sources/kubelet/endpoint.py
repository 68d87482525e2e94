"""Where the kubelet listens, and the paths that it is asked: three, and one that only some serve.

Each path has a subresource of its own, so that the agent needs no ``nodes/proxy``, which would also let it run
commands in every container. Kubelets before 1.33 know only ``nodes/proxy`` for ``/pods`` and ``/configz``; the request
is the same, so who may ask is decided by what the agent is granted. ``/flagz`` has no subresource of its own.
"""

from __future__ import annotations

import re
import socket
from typing import Final, NamedTuple

from agent.errors import ConfigError

HTTPS_PORT: Final = 10250
HTTP_PORT: Final = 10255
JSON: Final = "application/json"
TEXT: Final = "text/plain"
_NAME: Final = r"[0-9A-Za-z](?:[0-9A-Za-z._-]{0,251}[0-9A-Za-z])?"
_IPV6: Final = r"[0-9A-Fa-f:][0-9A-Fa-f:.]{1,44}"
HOST: Final = rf"{_NAME}|{_IPV6}"
_URL: Final = re.compile(rf"(https?)://(\[{_IPV6}\]|{_NAME})(?::([0-9]{{1,5}}))?/?")
# As $(NODE_IP) of a pod's environment makes it: nothing in an IPv6 address has five digits, so the port is clear.
_BARE_URL: Final = re.compile(rf"(https?)://({_IPV6}):([0-9]{{5}})/?")


class Path(NamedTuple):
    """``kind`` is its label value and what its document is; ``grant`` is what RBAC must allow ``get`` on."""

    kind: str
    path: str
    grant: str
    media_type: str = JSON


PODS: Final = Path("pods", "/pods", "nodes/pods")
SUMMARY: Final = Path("summary", "/stats/summary", "nodes/stats")
CONFIGZ: Final = Path("configz", "/configz", "nodes/configz")
FLAGZ: Final = Path("flagz", "/flagz", "nodes/configz", TEXT)
PATHS: Final = (PODS, SUMMARY, CONFIGZ)  # what the agent needs; without flagz it does well


class Endpoint(NamedTuple):
    """``host`` is a name or an address, an IPv6 one without its brackets."""

    secure: bool
    host: str
    port: int

    @property
    def authority(self) -> str:
        """As in a Host header."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.authority}"


def parse_endpoint(url: str) -> Endpoint:
    """Raises ConfigError. Without TLS only on loopback: a token and the names of all pods are not for the network."""
    match = _URL.fullmatch(url) or _bare(url)
    if match is None or int(match[3] or 1) not in range(1, 65536):
        raise ConfigError(f"--kubelet.url {url!r}: expected https://HOST:PORT or https://[IPv6]:PORT, and no path")
    secure, host = match[1] == "https", match[2].strip("[]")
    if not secure and not (host in ("localhost", "::1") or re.fullmatch(r"127(\.[0-9]+){3}", host)):
        raise ConfigError(f"--kubelet.url {url!r}: http:// only on loopback; give https://")
    return Endpoint(secure, host, int(match[3] or (HTTPS_PORT if secure else HTTP_PORT)))


def _bare(url: str) -> re.Match[str] | None:
    """An IPv6 address without brackets, and its port of five digits."""
    match = _BARE_URL.fullmatch(url)
    try:
        if match:
            socket.inet_pton(socket.AF_INET6, match[2])
        return match
    except OSError:
        return None
