"""One HTTP/1.1 response, bounded: parsed by httptools, which the process has loaded anyway.

``http.client`` would cost 1.7 MiB of memory, and lets a header drip for ever.
"""

from __future__ import annotations

from typing import Final

import httptools

from agent.sources.kubelet.endpoint import JSON
from agent.sources.kubelet.failure import Failed, from_status

HEAD_BYTES_MAX: Final = 65536
ERROR_BYTES_MAX: Final = 4096  # of an answer that is only quoted


class ResponseReader:
    """Takes bytes until it is ``done``. The method names ``on_...`` are httptools' protocol."""

    def __init__(self, path: str, body_bytes_max: int, media_type: str = JSON) -> None:
        self.done = False
        self.keep_alive = False
        self._path = path
        self._max = body_bytes_max
        self._media_type = media_type
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._head_bytes = 0
        self._in_body = False
        self._status = 0
        self._body: list[bytes] = []
        self._body_bytes = 0

    def feed(self, data: bytes) -> None:
        """Raises Failed as soon as it is known that nothing good will come: a body too large is not waited for."""
        if not data:
            self._end()
            return
        if not self._in_body:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise Failed(self._path, "protocol", f"not HTTP: {error}") from None
        if not self._in_body and self._head_bytes > HEAD_BYTES_MAX:
            raise Failed(self._path, "protocol", f"headers of more than {HEAD_BYTES_MAX} bytes")
        if self._in_body:
            self._judge()

    def refusal(self) -> Failed | None:
        """What has been learnt of an answer that is not a 200, whether or not the rest of it ever comes."""
        return from_status(self._path, self._status, b"") if self._in_body and self._status != 200 else None

    def body(self) -> bytes:
        return b"".join(self._body)

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self._headers) < 100:
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1").strip()

    def on_message_begin(self) -> None:
        if self.done:  # nobody asked for another one
            raise ValueError("a second answer")

    def on_headers_complete(self) -> None:
        self._in_body = True
        self._status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        self._body_bytes += len(data)
        if self._body_bytes <= self._max:
            self._body.append(data)

    def on_message_complete(self) -> None:
        if self._status // 100 == 1:  # such as 100 Continue: the answer is yet to come
            self._in_body = False
            return
        self.done = True
        self.keep_alive = self._parser.should_keep_alive()

    def _judge(self) -> None:
        if self._status != 200:
            if self.done or self._body_bytes >= ERROR_BYTES_MAX:
                raise from_status(self._path, self._status, self.body())
            return
        kind = self._headers.get("content-type", "").partition(";")[0].strip().lower()
        encoding = self._headers.get("content-encoding", "identity").lower()
        if kind not in ("", self._media_type):
            raise Failed(self._path, "content_type", f"{kind[:80]} instead of {self._media_type}", 200)
        if encoding != "identity":
            raise Failed(self._path, "encoding", f"{encoding[:80]}, which was not asked for", 200)
        length = self._headers.get("content-length", "")
        if self._body_bytes > self._max or (length.isdecimal() and int(length[:19]) > self._max):
            raise Failed(self._path, "too_large", f"a body of more than {self._max} bytes", 200)

    def _end(self) -> None:
        """The peer closed: that ends a body of unknown length, and cuts off any other."""
        if not self._in_body:
            raise Failed(self._path, "reset", "closed without an answer")
        if self._status != 200:
            raise from_status(self._path, self._status, self.body())
        if "content-length" in self._headers or "transfer-encoding" in self._headers:
            raise Failed(self._path, "truncated", f"cut off after {self._body_bytes} bytes", 200)
        self.done = True
