"""Does what the session says, with the spool on one side and a link to an aggregator on the other.

Threads: the sink's. Whatever fails is counted, ends at most this stream, and is tried again when the session says so.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from agent import log
from agent.errors import ProtocolError, SpoolError
from agent.push import messages
from agent.push.commands import (
    Command,
    Connect,
    Delete,
    Disconnect,
    OpenSession,
    Renew,
    Rotate,
    SendHeader,
    SendHello,
    SendLost,
    SendRecord,
)
from agent.push.held import Key, Lane
from agent.push.messages import Greeting, Identity
from agent.push.push_telemetry import PushTelemetry
from agent.push.session import Session
from agent.push.spool import Spool

if TYPE_CHECKING:  # grpc loads only with a target
    from agent.push.transport import Link, Transport

AT_ONCE: Final = 64  # commands, before what was collected and happened has its turn again


class Delivery:
    """``bell`` is rung when ``turn`` should be called."""

    def __init__(
        self,
        spool: Spool,
        transport: Transport,
        identity: Identity,
        telemetry: PushTelemetry,
        bell: Callable[[], object],
    ) -> None:
        self._spool = spool
        self._transport = transport
        self._identity = identity
        self._telemetry = telemetry
        self._bell = bell
        self._session = Session(time.monotonic(), spool.held(), random.random)
        self._link: Link | None = None
        self._seen: tuple[object, ...] = ()
        self._connect_s: float | None = None
        self._record_bytes = messages.RECORD_BYTES_LEAST
        self._said = False  # that there is no stream
        self._waits: tuple[Key, int, float] | None = None  # a record that is not acknowledged, and since when
        self._newest: tuple[Key, int, float] | None = None

    @property
    def due_s(self) -> float:
        """When to try to connect, if that waits."""
        return float("inf") if self._connect_s is None else self._connect_s

    def lag_s(self) -> float:
        waits = self._waits
        return time.monotonic() - waits[2] if waits else 0.0

    # What the spool says.

    def appended(self, name: tuple[Key, int] | None) -> None:
        self.look()
        if name is None:
            return
        self._session.appended(*name)
        if name[0].lane == "samples":
            self._newest = (*name, time.monotonic())
            self._waits = self._waits or self._newest

    def look(self) -> None:
        """What changed in the spool besides what was appended."""
        dropped = self._spool.changes()
        if dropped is None:
            return
        for one in dropped:
            self._session.dropped(one.key, one.reason)
        held = self._spool.held()
        self._session.holds(held)
        if self._waits and all(one.key != self._waits[0] for one in held):
            self._waits = self._newest = None

    # What is due.

    def tick(self, now_s: float) -> None:
        """Every second or so."""
        self._session.tick(now_s)
        if self._link is not None and self._transport.security.seen() != self._seen:
            log.info("credentials have changed; the stream is made anew", target=self._link.target)
            self._drop(now_s)

    def turn(self, now_s: float) -> bool:
        """Whether there is more to do at once."""
        self._hear(now_s)
        if self._connect_s is not None and now_s >= self._connect_s:
            self._connect_s = None
            self._seen = self._transport.security.seen()
            self._link = self._transport.connect(self._bell)
        for _ in range(AT_ONCE):
            command = self._session.next_command(self._link is not None and self._link.writable)
            if command is None:
                return False
            self._do(command, now_s)
        return True

    def finish(self, until_s: float) -> None:
        """Sends what was appended last, as far as there is time, and says goodbye."""
        while self.turn(time.monotonic()) and time.monotonic() < until_s:
            pass
        self._session.stop()
        self.turn(time.monotonic())
        if self._link is not None:
            self._link.close(flush=False)
        self._transport.stop(max(0.0, until_s - time.monotonic()))

    # What the connection says.

    def _hear(self, now_s: float) -> None:
        link = self._link
        for happened in link.take() if link else ():
            if link is not self._link:
                return  # it was dropped for what it said
            kind = type(happened).__name__
            if kind == "Connected":
                self._session.connected(now_s)
            elif kind == "Received":
                self._received(now_s, happened.data)  # type: ignore[union-attr]
            elif happened.reason == "ended" and self._session.streaming:  # type: ignore[union-attr]
                self._telemetry.errors.inc("ended")
                log.info("the stream has ended; it is made anew", by="the aggregator")
                self._drop(now_s)
            else:
                self._fail(now_s, happened.reason, happened.detail)  # type: ignore[union-attr]

    def _received(self, now_s: float, data: bytes) -> None:
        try:
            said = messages.heard(data)
        except ProtocolError as error:
            self._fail(now_s, "protocol", str(error))
            return
        if isinstance(said, Greeting):
            self._welcomed(now_s, said)
        else:
            self._telemetry.acks.inc()
            self._session.ack(now_s, said)
            for state in said:
                self._spool.acked(state.key, self._session.acked(state.key))
        self._measure()

    def _welcomed(self, now_s: float, said: Greeting) -> None:
        self._session.welcome(now_s, said.welcome)
        self._record_bytes = said.record_bytes
        for one in self._spool.held():
            self._spool.acked(one.key, self._session.acked(one.key))
        if self._session.streaming:
            self._said = False
            self._telemetry.connected.value = 1
            self._telemetry.streams.inc()
            log.info("streaming", target=self._link.target if self._link else "")

    def _measure(self) -> None:
        """Moves on what the lag is counted from."""
        if self._waits and self._session.acked(self._waits[0]) >= self._waits[1]:
            newest = self._newest
            done = newest is None or self._session.acked(newest[0]) >= newest[1]
            self._waits = None if done else newest

    def _fail(self, now_s: float, reason: str, detail: str) -> None:
        self._telemetry.errors.inc(reason)
        (log.debug if self._said else log.warn)(
            "no stream to the aggregator; said once, counted always",
            target=self._link.target if self._link else "",
            reason=reason,
            detail=detail,
        )
        self._said = True
        self._transport.failed()
        self._drop(now_s)

    def _drop(self, now_s: float, flush: bool = False) -> None:
        if self._link is not None:
            self._link.close(flush)
            self._link = None
        self._telemetry.connected.value = 0
        self._session.disconnected(now_s)

    # What the session says.

    def _do(self, command: Command, now_s: float) -> None:
        match command:
            case Connect(not_before_s):
                self._connect_s = not_before_s
            case Disconnect(why, goodbye):
                self._disconnect(now_s, why, goodbye)
            case OpenSession(lane):
                self._open(lane)
            case Delete(key):
                self._spool.delete(key)
                self.look()
            case Rotate(key):
                self._spool.rotate(key)
            case Renew(key):
                self._renew(key)
            case SendRecord() | SendHeader():
                self._send_from_disk(now_s, command)
            case SendHello(sessions):
                size, most = self._spool.size_bytes, self._spool.limits.max_bytes
                self._send(messages.hello(self._identity, round(time.time() * 1000), sessions, size, most))
            case SendLost():
                self._send(messages.lost(command))

    def _disconnect(self, now_s: float, why: str, goodbye: bool) -> None:
        if goodbye:
            self._send(messages.goodbye())
            self._drop(now_s, flush=True)
        elif why in ("no Welcome", "no acknowledgement"):
            self._fail(now_s, "timeout", why)
        else:
            log.info("the stream ends", why=why)
            self._drop(now_s)

    def _open(self, lane: Lane) -> None:
        try:
            self._spool.open_session(lane)
        except SpoolError as error:
            self._spool_failed(error)
            self._session.could_not_open(lane)
        self.look()

    def _renew(self, key: Key) -> None:
        try:
            self._spool.renew(key)
        except SpoolError as error:
            self._spool_failed(error)
        self.look()

    def _send_from_disk(self, now_s: float, command: SendRecord | SendHeader) -> None:
        key, seq = command
        try:
            begins = isinstance(command, SendHeader)
            body = self._spool.header(key, seq) if begins else self._spool.record(key, seq)
        except SpoolError as error:
            self._spool_failed(error)
            self._drop(now_s)
            return
        if body is None or len(body) > self._record_bytes:
            self._session.unreadable(key, seq, "CORRUPT" if body is None else "REJECTED")
            self.look()
        elif begins:
            self._send(messages.header(body))
        else:
            self._send(messages.record(body))
            self._telemetry.sent.inc(key.lane)

    def _send(self, message: bytes) -> None:
        if self._link is not None:
            self._telemetry.sent_bytes.inc(by=len(message))
            self._link.send(message)

    def _spool_failed(self, error: SpoolError) -> None:
        self._telemetry.errors.inc("spool")
        log.warn("the spool cannot be used", error=error)
