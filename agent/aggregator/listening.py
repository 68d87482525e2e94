"""Where to listen, and the files that are read again when they change: certificates, CAs, tokens."""

from __future__ import annotations

import os
from typing import NamedTuple

from agent import log
from agent.errors import ConfigError


class Address(NamedTuple):
    """Where to listen. An empty host is every address."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        return self.host in ("::1", "localhost") or self.host.startswith("127.")


def parse_address(flag: str, text: str) -> Address:
    """Raises ConfigError with the expected form."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if not colon or not port.isdecimal() or int(port) > 65535 or (":" in host and not bracketed):
        raise ConfigError(f"{flag} {text!r} is not an address: expected HOST:PORT, [IPv6]:PORT or :PORT")
    return Address(host, int(port))


class Files:
    """Some files' content. The first reading raises ConfigError; a later one that fails keeps the old content."""

    def __init__(self, *paths: str) -> None:
        self._paths = tuple(path for path in paths if path)
        self._state = self._look()
        try:
            self._content = self._read()
        except OSError as error:
            raise ConfigError(f"cannot read {error.filename}: {error.strerror}") from None

    def content(self) -> tuple[bytes, ...]:
        return self._content

    def changed(self) -> bool:
        """Whether the content is another than at the last call."""
        state = self._look()
        if state == self._state:
            return False
        self._state = state
        try:
            before, self._content = self._content, self._read()
        except OSError as error:
            log.warn("could not be read again; the former content stays in use", file=error.filename, error=error)
            return False
        return before != self._content

    def _read(self) -> tuple[bytes, ...]:
        content = []
        for path in self._paths:
            with open(path, "rb") as file:
                content.append(file.read(1 << 20))
        return tuple(content)

    def _look(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(map(_look, self._paths))


def _look(path: str) -> tuple[int, int, int] | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
