"""Requests and responses, and the parser between bytes and requests."""

from __future__ import annotations

import time
from collections import deque
from typing import Final, NamedTuple

import httptools

REASONS: Final[dict[int, str]] = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    414: "URI Too Long",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
HEAD_BYTES_MAX: Final = 16384
TARGET_BYTES_MAX: Final = 8192
BODY_BYTES_MAX: Final = 65536
PARAMETERS_MAX: Final = 200


class Refused(Exception):
    """A request that gets this status, after which the connection ends."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Request(NamedTuple):
    """One request, complete. Header names are lower case; a repeated header keeps its values joined by a comma."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    keep_alive: bool

    def parameters(self) -> list[tuple[str, str]]:
        """The query as decoded pairs, in order. Raises ValueError for more than ``PARAMETERS_MAX`` of them."""
        if not self.query:
            return []
        from urllib.parse import parse_qsl  # only for a query

        return parse_qsl(self.query, keep_blank_values=True, max_num_fields=PARAMETERS_MAX)


class Response(NamedTuple):
    """One answer. ``headers`` are complete lines without their line ends."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[str, ...] = ()

    def to_bytes(self, *, head_only: bool, keep_alive: bool) -> bytes:
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
        lines = [
            f"HTTP/1.1 {self.status} {REASONS.get(self.status, '')}",
            f"Date: {date}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.body)}",
            *self.headers,
            "Connection: keep-alive" if keep_alive else "Connection: close",
            "\r\n",
        ]
        head = "\r\n".join(lines).encode("latin-1", "replace")
        return head if head_only else head + self.body


def refusal(status: int, why: str, *headers: str) -> Response:
    """One line of plain text for a person, or for the log of a scraper."""
    return Response(status, f"{why}\n".encode(), headers=headers)


class RequestReader:
    """Turns the bytes of one connection into requests. The method names ``on_...`` are httptools' protocol."""

    def __init__(self) -> None:
        self.requests: deque[Request] = deque()
        self.partial = False
        self._parser = httptools.HttpRequestParser(self)
        self._clear()

    def feed(self, data: bytes) -> None:
        """Raises Refused for what is not HTTP, or not within the bounds."""
        while data:
            data = self._fed(data)
        if self.partial and self._head_bytes > HEAD_BYTES_MAX:
            raise Refused(431, f"more than {HEAD_BYTES_MAX} bytes of header")

    def _fed(self, data: bytes) -> bytes:
        """What is left to feed: all after a request that offers another protocol, which a server may ignore."""
        self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._parser = httptools.HttpRequestParser(self)  # the former takes what follows for that protocol
            return data[offer.args[0] :]
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, Refused):
                raise error.__context__ from None
            raise Refused(400, f"not HTTP: {error}") from None
        return b""

    def _clear(self) -> None:
        self._target = b""
        self._headers: dict[str, str] = {}
        self._head_bytes = 0
        self._body_bytes = 0

    def on_message_begin(self) -> None:
        self.partial = True

    def on_url(self, url: bytes) -> None:
        self._target += url
        if len(self._target) > TARGET_BYTES_MAX:
            raise Refused(414, f"a target of more than {TARGET_BYTES_MAX} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        self._body_bytes += len(body)
        if self._body_bytes > BODY_BYTES_MAX:
            raise Refused(413, f"a body of more than {BODY_BYTES_MAX} bytes")

    def on_message_complete(self) -> None:
        target = self._target.decode("latin-1")
        if target.startswith(("http://", "https://")):  # the absolute form, as for a proxy
            target = "/" + target.split("/", 3)[3] if target.count("/") > 2 else "/"
        path, _, query = target.partition("?")
        method = self._parser.get_method().decode("latin-1")
        self.requests.append(Request(method, path, query, self._headers, self._parser.should_keep_alive()))
        self.partial = False
        self._clear()
