"""The streams on a real server: gRPC's asyncio, generic handlers, one coroutine that reads each and one that writes.

Nobody is buffered for: a stream is read one message at a time, and what it is owed is at most its Welcome and one state
for each session. Reads are never cancelled (gRPC leaks what it read into): a stream ends by its handler's return.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from agent import log
from agent.aggregator.admission import Admission, Admitted
from agent.aggregator.answers import answer_of
from agent.aggregator.commit import Ack, Welcome
from agent.aggregator.credentials import Guards
from agent.aggregator.identity import Denied, Unreviewed, claimed
from agent.aggregator.intake import Intake
from agent.aggregator.listening import Address, Files
from agent.aggregator.open_stream import End, OpenStream
from agent.aggregator.telemetry import Telemetry
from agent.aggregator.writer import Writer
from agent.errors import ConfigError, ProtocolError
from agent.wire.ingest_pb2 import AgentMessage, Hello

SERVICE: Final = "headroom.ingest.v1.Ingest"
MESSAGE_BYTES_MAX: Final = 4 << 20  # a header names every series of a node; a record's own bound is in its limits
HELLO_S: Final = 10.0
FLUSH_S: Final = 5.0
STREAMS_MAX: Final = 10_000
UNGREETED_MAX: Final = 512
DENIED_SAID_S: Final = 1.0
OF_A_NODE_MAX: Final = 2  # one more displaces the oldest: it may be half open
OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_concurrent_streams", 4),
    ("grpc.compression_enabled_algorithms_bitset", 1),  # records are compressed already
    ("grpc.http2.bdp_probe", 0),  # a ping with each message, to find a window for more than we send
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),  # below what agents use, else they are sent away
    ("grpc.so_reuseport", 0),  # a port in use is an error
)


class Service:
    """``start``, then ``stop``. Everything runs in one loop, but for the store's thread."""

    def __init__(self, intake: Intake, told: Telemetry, admission: Admission, store_id: bytes) -> None:
        self._intake = intake
        self._told = told
        self._admission = admission
        self._store_id = store_id
        self._said_s = -DENIED_SAID_S
        self._streams: dict[int, OpenStream] = {}
        self._numbers = 0
        self._server = grpc.aio.server(options=OPTIONS)
        self.writer: Writer | None = None

    async def start(self, address: Address, guards: Guards) -> Address:
        """Raises ConfigError. Gives the address with its port."""
        handler: Any = grpc.stream_stream_rpc_method_handler(self._handle)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Stream": handler}),))
        where = str(address if address.host else Address("::", address.port))
        try:
            if guards.tls:
                port = self._server.add_secure_port(where, _tls(guards.tls, guards.client_ca))
            else:
                port = self._server.add_insecure_port(where)
        except RuntimeError as error:
            raise ConfigError(f"cannot listen on {address}: {error}") from None
        await self._server.start()
        return Address(address.host, port)

    async def stop(self) -> None:
        """After the writer's last transaction: its answers still go out."""
        for stream in list(self._streams.values()):
            stream.finish(End("UNAVAILABLE", "stopping", "the aggregator stops"))
        await self._server.stop(1.0)

    def deliver(self, answer: Welcome | Ack) -> None:
        if stream := self._streams.get(answer.stream):
            stream.owe(answer)

    async def _handle(self, _: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        """The writing half."""
        self._numbers += 1
        stream = OpenStream(self._numbers)
        self._refuse_crowds(stream)
        self._streams[stream.number] = stream
        self._told.streams.set(len(self._streams))
        stream.reader = asyncio.create_task(self._read(stream, context))
        stream.ends_at(time.monotonic() + HELLO_S, End("DEADLINE_EXCEEDED", "no_hello", "no Hello came"))
        try:
            while stream.end is None:
                await stream.wake.wait()
                for answer in stream.owed():
                    message = answer_of(answer, self._store_id, int(time.time() * 1000))
                    await context.write(message.SerializeToString())
        finally:
            self._over(stream)
        if stream.end.code != "OK":
            await context.abort(grpc.StatusCode[stream.end.code], stream.end.text[:256])

    def _over(self, stream: OpenStream) -> None:
        end = stream.end or End("CANCELLED", "broken")
        stream.finish(end)
        stream.never_ends()
        self._streams.pop(stream.number, None)
        self._intake.ended(stream.number, stream.goodbye, int(time.time() * 1000))
        self._told.streams.set(len(self._streams))
        self._told.ended.labels(end.reason).inc()
        log.debug("a stream has ended", node=stream.node, reason=end.reason, error=end.text)

    async def _read(self, stream: OpenStream, context: Any) -> None:
        """The reading half. Nothing is read before it is known who writes."""
        if stream.end:
            return
        try:
            admitted = await self._admission.admit(context.auth_context(), context.invocation_metadata() or ())
            while stream.end is None:
                data = await context.read()
                if data is grpc.aio.EOF:
                    await self._flush()
                    stream.finish(End("OK", "goodbye" if stream.goodbye else "closed"))
                elif stream.end is None:
                    self._take(stream, data, admitted)
        except Denied as error:
            self._told.denied.inc()
            self._say_denied(context.peer(), error)
            stream.finish(End(error.code, "identity", str(error)))
        except Unreviewed as error:
            stream.finish(End("UNAVAILABLE", "token_review", str(error)))
        except (ProtocolError, DecodeError) as error:
            log.warn("a stream broke the protocol", node=stream.node, peer=context.peer(), error=error)
            stream.finish(End("INVALID_ARGUMENT", "protocol", str(error)))
        except (asyncio.CancelledError, grpc.RpcError, grpc.aio.BaseError, asyncio.InvalidStateError):
            stream.finish(End("CANCELLED", "broken"))
        except Exception as error:
            log.error("a defect ended a stream", node=stream.node, error=f"{type(error).__name__}: {error}")
            stream.finish(End("INTERNAL", "defect", "a defect of the aggregator"))

    async def _flush(self) -> None:
        """What came on a stream that its agent has closed is still acknowledged."""
        if self.writer:
            try:
                await asyncio.wait_for(self.writer.flushed(), FLUSH_S)
            except TimeoutError:
                pass

    def _take(self, stream: OpenStream, data: bytes, admitted: Admitted) -> None:
        self._told.received_bytes.inc(len(data))
        message = AgentMessage.FromString(data)
        kind = message.WhichOneof("kind")
        now_ms = int(time.time() * 1000)
        if kind == "hello":
            self._greet(stream, message.hello, admitted, now_ms)
        elif not stream.node:
            raise ProtocolError("something before the Hello")
        elif kind == "record":
            self._told.records.labels(self._intake.record(stream.number, message.record, now_ms)).inc()
            if self.writer:
                self.writer.came()
        elif kind == "header":
            self._intake.header(stream.number, message.header)
        elif kind == "lost":
            self._intake.lost(stream.number, message.lost)
        elif kind == "goodbye":
            stream.goodbye = True

    def _greet(self, stream: OpenStream, hello: Hello, admitted: Admitted, now_ms: int) -> None:
        cluster, name = claimed(admitted.identity, hello.cluster, hello.node)
        node = self._intake.hello(stream.number, cluster, name, hello, now_ms).node.id
        same = sorted((one for one in self._streams.values() if one.node == node), key=lambda one: one.number)
        stream.node = node
        stream.ends_at(admitted.until_s, End("OK", "expired"))
        for one in same[: len(same) - OF_A_NODE_MAX + 1]:
            one.finish(End("ABORTED", "displaced", "a newer stream of this node took its place"))
        log.info(
            "a node speaks", cluster=cluster, node=name, version=hello.agent_version[:64], sessions=len(hello.sessions)
        )

    def _say_denied(self, peer: str, error: Denied) -> None:
        """At most once a second: who is denied may come as often as it likes."""
        quiet = time.monotonic() - self._said_s < DENIED_SAID_S
        self._said_s = self._said_s if quiet else time.monotonic()
        (log.debug if quiet else log.warn)("a stream was denied", peer=peer, error=error)

    def _refuse_crowds(self, stream: OpenStream) -> None:
        ungreeted = [one for one in self._streams.values() if not one.node]
        if len(self._streams) >= STREAMS_MAX:
            stream.finish(End("RESOURCE_EXHAUSTED", "crowded", "too many streams"))
        elif len(ungreeted) >= UNGREETED_MAX:
            ungreeted[0].finish(End("RESOURCE_EXHAUSTED", "crowded", "too many streams without a Hello"))


def _tls(files: Files, client_ca: bool) -> grpc.ServerCredentials:
    """gRPC asks for the configuration at each handshake; asking must never raise."""

    def configuration() -> Any:
        certificate, key, *ca = files.content()
        return grpc.ssl_server_certificate_configuration([(key, certificate)], ca[0] if ca else None)

    def changed() -> Any:
        try:
            return configuration() if files.changed() else None
        except Exception as error:
            log.warn("the new certificate cannot be used; the former stays", error=error)
            return None

    return grpc.dynamic_ssl_server_credentials(configuration(), changed, client_ca)
