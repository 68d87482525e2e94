"""Who may ask: a bearer token or a user and password, each from a file."""

from __future__ import annotations

from agent.errors import ConfigError
from agent.httpd.files import Reread
from agent.httpd.message import Request


class Credentials:
    """Checks Authorization headers in constant time. Threads: any."""

    def __init__(self, token_file: str, basic_file: str) -> None:
        self._tokens = Reread(lambda: _lines(token_file), token_file) if token_file else None
        self._basic = Reread(lambda: _users(basic_file), basic_file) if basic_file else None

    def allow(self, request: Request) -> bool:
        from hmac import compare_digest  # only with authentication

        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        offered = given.strip().encode("latin-1", "replace")
        accepted: list[bytes] = []
        if scheme.lower() == "bearer" and self._tokens is not None:
            accepted = self._tokens.get()
        elif scheme.lower() == "basic" and self._basic is not None:
            accepted = self._basic.get()
        matches = [compare_digest(offered, one) for one in accepted]  # every one is compared, whichever fits
        return any(matches)

    def challenges(self) -> tuple[str, ...]:
        """The WWW-Authenticate lines of a 401."""
        bearer = ('WWW-Authenticate: Bearer realm="headroom"',) if self._tokens is not None else ()
        basic = ('WWW-Authenticate: Basic realm="headroom", charset="UTF-8"',) if self._basic is not None else ()
        return bearer + basic


def _lines(path: str) -> list[bytes]:
    with open(path, "rb") as file:
        lines = [line.strip() for line in file.read(1 << 20).splitlines()]
    found = [line for line in lines if line and not line.startswith(b"#")]
    if not found:
        raise ConfigError(f"{path} has no line with a secret in it")
    return found


def _users(path: str) -> list[bytes]:
    from base64 import b64encode

    lines = _lines(path)
    if bad := [number for number, line in enumerate(lines, 1) if b":" not in line]:
        raise ConfigError(f"{path}: entry {bad[0]} is not user:password")
    return [b64encode(line) for line in lines]
