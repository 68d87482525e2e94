"""One accepted connection, from its handshake to its last answer, on a thread of its own."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from agent import log
from agent.httpd.message import Refused, Request, RequestReader, Response, refusal

if TYPE_CHECKING:
    from ssl import SSLContext

RECEIVE_BYTES: Final = 16384
LINGER_S: Final = 0.5
Handler = Callable[[Request], Response]


class Limits(NamedTuple):
    """``head_s`` from a request's first byte to its last, ``idle_s`` between requests, ``answer_s`` for an answer."""

    connections: int = 64
    head_s: float = 10.0
    idle_s: float = 300.0
    answer_s: float = 30.0


class Observer(Protocol):
    """Told of everything that is served or turned away."""

    def answered(self, request: Request, status: int, seconds: float) -> None: ...
    def refused(self, reason: str) -> None: ...
    def connections(self, number: int) -> None: ...


class Connection:
    """``busy`` while a request is being answered; ``since`` is when that last changed (monotonic seconds)."""

    def __init__(self, sock: socket.socket, limits: Limits) -> None:
        self.busy = False
        self.since = time.monotonic()
        self._last = False
        self._sock = sock
        self._limits = limits
        self._reader = RequestReader()

    def end(self) -> None:
        """Ends it after the answer under way, or now: wakes the thread that is blocked on the socket."""
        self._last = True
        if self.busy:
            return
        try:
            # of the descriptor alone: an SSLSocket's own drops the encryption, perhaps under an answer that begins
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
        except OSError:
            pass

    def converse(self, handler: Handler, observer: Observer, tls: Callable[[], SSLContext] | None) -> None:
        """Answers requests until the peer, the clock or a refusal ends it. Closes the socket; raises nothing."""
        try:
            self._sock.settimeout(self._limits.head_s)
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                self._shake_hands(tls())
            first_by = time.monotonic() + self._limits.head_s
            while not self._last and (request := self._next(first_by)):
                if not self._answer(request, handler, observer):
                    return
                first_by = time.monotonic() + self._limits.idle_s
        except Refused as refused:
            observer.refused(f"status_{refused.status}")
            self._refuse(refusal(refused.status, str(refused)))
        except OSError as error:  # a reset, a failed handshake, an answer nobody took
            observer.refused("transport")
            log.debug("connection ended", error=error)
        finally:
            self._sock.close()

    def _shake_hands(self, context: SSLContext) -> None:
        """Once wrapped, as wrapping detaches the former socket: who ends this meanwhile must find the new one."""
        wrapped = context.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
        self._sock = wrapped
        if self._last:
            return
        wrapped.do_handshake()

    def turn_away(self, response: Response) -> None:
        """A few bytes without waiting for anything: this runs in the thread that accepts."""
        try:
            self._sock.setblocking(False)
            self._sock.send(response.to_bytes(head_only=False, keep_alive=False))
        except OSError:
            pass
        self._sock.close()

    def _refuse(self, response: Response) -> None:
        """A last answer; then what the peer is still sending is read for a moment, or it would see a reset instead."""
        try:
            self._sock.settimeout(LINGER_S)
            self._sock.sendall(response.to_bytes(head_only=False, keep_alive=False))
            self._sock.shutdown(socket.SHUT_WR)
            until = time.monotonic() + LINGER_S
            while time.monotonic() < until and self._sock.recv(RECEIVE_BYTES):
                pass
        except OSError:
            pass

    def _next(self, first_byte_by: float) -> Request | None:
        """The next request, or None when the peer is done or stayed silent."""
        by = first_byte_by
        while not self._reader.requests:
            remaining = by - time.monotonic()
            if remaining <= 0:
                if self._reader.partial:
                    raise Refused(408, f"the request was not complete after {self._limits.head_s:g} s")
                return None
            self._sock.settimeout(remaining)
            try:
                data = self._sock.recv(RECEIVE_BYTES)
            except TimeoutError:
                continue
            if not data:
                return None
            was_partial = self._reader.partial
            self._reader.feed(data)
            if self._reader.partial and not was_partial:
                by = time.monotonic() + self._limits.head_s
        return self._reader.requests.popleft()

    def _answer(self, request: Request, handler: Handler, observer: Observer) -> bool:
        self.busy, self.since = True, time.monotonic()
        try:
            response = handler(request)
        except Exception as error:  # a defect of ours costs one answer, not the server
            log.error("a defect while answering; please report it", path=request.path, error=repr(error))
            response = refusal(500, "internal error; see the agent's log")
        self._sock.settimeout(self._limits.answer_s)
        self._sock.sendall(response.to_bytes(head_only=request.method == "HEAD", keep_alive=request.keep_alive))
        observer.answered(request, response.status, time.monotonic() - self.since)
        self.busy, self.since = False, time.monotonic()
        return request.keep_alive
