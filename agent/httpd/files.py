"""Files whose content may be replaced while we run: certificates, tokens, passwords."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

from agent import log
from agent.errors import ConfigError

T = TypeVar("T")


class Reread(Generic[T]):
    """A value made from files, made again when one of them changes (size, time, inode: a Secret's swapped symlink too).

    The first reading raises ConfigError. A later one that fails keeps the old value and says so once per change:
    a half-written certificate must not take the listener down. Threads: any; at worst two make the same value.
    """

    def __init__(self, make: Callable[[], T], *paths: str) -> None:
        self._make = make
        self._paths = paths
        self._state = self._look()
        self._value = self._first()

    def get(self) -> T:
        state = self._look()
        if state != self._state:
            self._state = state
            try:
                self._value = self._make()
                log.info("re-read after a change", files=",".join(self._paths))
            except (OSError, ValueError, ConfigError) as error:
                log.warn(
                    "could not be re-read; the former content stays in use", files=",".join(self._paths), error=error
                )
        return self._value

    def _first(self) -> T:
        try:
            for path in self._paths:
                with open(path, "rb"):
                    pass  # ssl does not say which of its files is missing
        except OSError as error:
            raise ConfigError(f"cannot use {error.filename}: {error.strerror}") from None
        try:
            return self._make()
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot use {', '.join(self._paths)}: {error}") from None

    def _look(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_look(path) for path in self._paths)


def _look(path: str) -> tuple[int, int, int] | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
