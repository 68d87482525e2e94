"""HTTP to the processes that take part: one connection that is kept, no proxy, and one kind of error."""

from __future__ import annotations

import http.client
import json
import re
import zlib
from typing import Any, Final

from agent.errors import AgentError

TIMEOUT_S: Final = 5.0
_BATCH: Final = re.compile(rb"^node_time_seconds (\S+)$", re.MULTILINE)
_SAMPLE: Final = re.compile(rb"^[^#\n]", re.MULTILINE)


class AskError(AgentError):
    """No answer, or not the one that was asked for."""


class Asker:
    """Threads: one. A connection that was lost is made anew at the next question."""

    def __init__(self, name: str, address: tuple[str, int], timeout_s: float = TIMEOUT_S) -> None:
        self._name = name
        self._connection = http.client.HTTPConnection(*address, timeout=timeout_s)

    def get(self, path: str) -> bytes:
        """The body of a 200. Raises AskError."""
        kept = self._connection.sock is not None
        try:
            answer, body = self._exchange(path)
        except AskError:
            if not kept:
                raise
            answer, body = self._exchange(path)  # what was kept may have been closed meanwhile
        if answer.status != 200:
            raise AskError(f"{self._name} answers {answer.status} to {path}")
        return zlib.decompress(body, 31) if answer.headers.get("Content-Encoding") == "gzip" else body

    def _exchange(self, path: str) -> tuple[http.client.HTTPResponse, bytes]:
        try:
            self._connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
            answer = self._connection.getresponse()
            return answer, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise AskError(f"{self._name} does not answer {path}: {error or type(error).__name__}") from None

    def json(self, path: str) -> Any:
        """Raises AskError."""
        try:
            return json.loads(self.get(path))
        except ValueError:
            raise AskError(f"{self._name} answers {path} with what is no JSON") from None

    def close(self) -> None:
        self._connection.close()


def batch_of(exposition: bytes) -> float | None:
    """Which batch this is: the time that the node's clock had when it was collected."""
    found = _BATCH.search(exposition)
    return float(found[1]) if found else None


def count_samples(exposition: bytes) -> int:
    return len(_SAMPLE.findall(exposition))


def series(exposition: bytes, name: str) -> float:
    """One series' value; 0 for a counter that has not counted yet."""
    found = re.search(rb"^" + re.escape(name.encode()) + rb" (\S+)$", exposition, re.MULTILINE)
    return float(found[1]) if found else 0.0
