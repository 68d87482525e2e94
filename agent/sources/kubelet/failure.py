"""Why a request to the kubelet came to nothing: one word to count it by, one line to say it by."""

from __future__ import annotations

import errno
from typing import Final, Literal

from agent.errors import SourceError

Cause = Literal[
    "unauthorized",  # 401: no token, or not one of this cluster
    "forbidden",  # 403: RBAC
    "not_found",  # 404: its debugging handlers are off
    "server_error",  # 5xx
    "redirect",
    "status",  # any other
    "refused",
    "unreachable",
    "reset",
    "timeout",
    "too_large",
    "truncated",
    "content_type",
    "encoding",
    "protocol",  # not HTTP
    "tls",  # no handshake
    "tls_untrusted",
    "tls_name",
    "tls_expired",
    "tls_pin",
    "files",  # a token or certificate file of ours cannot be used
    "malformed",
]
TLS_CAUSES: Final[frozenset[Cause]] = frozenset({"tls", "tls_untrusted", "tls_name", "tls_expired", "tls_pin"})
_BY_STATUS: Final[dict[int, Cause]] = {401: "unauthorized", 403: "forbidden", 404: "not_found"}
_BY_CLASS: Final[dict[int, Cause]] = {3: "redirect", 5: "server_error"}


class Failed(SourceError):
    """One request. ``status`` is what the kubelet answered, if it did.

    Of what ``detail`` quotes, signs that do not print become ``?``: people read it on a terminal.
    """

    reason = "kubelet"

    def __init__(self, path: str, cause: Cause, detail: str, status: int | None = None) -> None:
        super().__init__(path, "".join(sign if sign.isprintable() else "?" for sign in detail))
        self.cause: Cause = cause
        self.status = status


def from_status(path: str, status: int, said: bytes) -> Failed:
    """An answer other than 200; ``said`` is the beginning of its body."""
    text = " ".join(said[:300].decode("utf-8", "replace").split())
    cause = _BY_STATUS.get(status) or _BY_CLASS.get(status // 100, "status")
    return Failed(path, cause, f"status {status}: {text}" if text else f"status {status}", status)


def from_network(path: str, error: OSError) -> Failed:
    """What the network, not TLS, made of it."""
    cause: Cause = "unreachable"
    if isinstance(error, TimeoutError):
        return Failed(path, "timeout", "no whole answer in time")
    if isinstance(error, ConnectionRefusedError):
        cause = "refused"
    elif error.errno in (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED):
        cause = "reset"
    return Failed(path, cause, error.strerror or str(error))
