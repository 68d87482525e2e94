"""The agent's end of a stream, made by hand from the messages: what a test sends is exactly what it says."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence
from typing import Any, Self

import grpc

from agent.model import Block
from agent.wire.encoder import Encoder
from agent.wire.ingest_pb2 import (
    AgentMessage,
    AggregatorMessage,
    Body,
    Goodbye,
    Header,
    Hello,
    Key,
    Lane,
    Lost,
    Record,
    Schema,
    Session,
)
from agent.wire.record import pack

METHOD = "/headroom.ingest.v1.Ingest/Stream"
WAIT_S = 10.0
BOOT = bytes(16)


class Told:
    """A session of a spool, as an agent has it: its files begin with a header, its records count from 1."""

    def __init__(self, number: int = 1, lane: Lane = Lane.LANE_SAMPLES, spool: int = 1, sid: int = 0) -> None:
        self.key = Key(spool_id=bytes([spool]) * 16, lane=lane, number=number)
        self.sid = bytes([sid or number + 16 * lane]) * 16
        self.last = 0
        self.encoder = Encoder()

    def listed(self, sealed: bool = False, base: int = 0) -> Session:
        return Session(key=self.key, sid=self.sid, base=base, first=1, last=self.last, sealed=sealed)

    def header(self, blocks: Sequence[Block] = (), first: int | None = None) -> AgentMessage:
        schema = self.encoder.begin(tuple(blocks)) if blocks else Schema()
        first = self.last + 1 if first is None else first
        return AgentMessage(header=Header(format=1, key=self.key, sid=self.sid, first=first, schema=schema))

    def tick(self, blocks: Sequence[Block], boot_ms: int = 0) -> AgentMessage:
        boot_ms = boot_ms or (self.last + 1) * 10_000
        return self.record(self.encoder.tick(tuple(blocks), 1_700_000_000_000 + boot_ms, boot_ms))

    def record(self, body: Body) -> AgentMessage:
        self.last += 1
        return AgentMessage(record=Record.FromString(pack(self.sid, self.last, body)))

    def lost(self, first: int, last: int, reason: Lost.Reason = Lost.Reason.SPOOL_FULL) -> AgentMessage:
        return AgentMessage(lost=Lost(key=self.key, first=first, last=last, reason=reason))


def hello(*sessions: Session, node: str = "worker-1", cluster: str = "", boot_id: bytes = BOOT) -> AgentMessage:
    return AgentMessage(
        hello=Hello(
            protocol=1,
            agent_version="1.2.3",
            cluster=cluster,
            node=node,
            boot_id=boot_id,
            interval_ms=10_000,
            sessions=sessions,
        )
    )


GOODBYE = AgentMessage(goodbye=Goodbye())


class AgentEnd:
    """One stream on a connection of its own. ``with`` closes it."""

    def __init__(
        self,
        target: str,
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> None:
        options = [("grpc.ssl_target_name_override", "aggregator"), ("grpc.enable_http_proxy", 0)]
        options.append(("grpc.use_local_subchannel_pool", 1))
        make: Any = grpc.secure_channel if credentials else grpc.insecure_channel
        self._channel = make(target, *([credentials] if credentials else []), options=options)
        self._up: queue.Queue[AgentMessage | None] = queue.Queue()
        stub = self._channel.stream_stream(METHOD, AgentMessage.SerializeToString, AggregatorMessage.FromString)
        self._call = stub(iter(self._up.get, None), timeout=60, metadata=metadata)
        self._down: Iterator[AggregatorMessage] = iter(self._call)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._up.put(None)
        self._call.cancel()
        self._channel.close()

    def send(self, *messages: AgentMessage) -> Self:
        for message in messages:
            self._up.put(message)
        return self

    def close(self) -> None:
        """The agent's half; answers may still come."""
        self._up.put(None)

    def receive(self) -> AggregatorMessage:
        return next(self._down)

    def welcome(self) -> dict[tuple[int, int], tuple[int, bool]]:
        """(lane, number) to (committed, closed)."""
        message = self.receive()
        assert message.WhichOneof("kind") == "welcome", message
        return {(one.key.lane, one.key.number): (one.committed, one.closed) for one in message.welcome.states}

    def acked(self, told: Told, seq: int) -> None:
        """Waits until the session is acknowledged to there."""
        while True:
            for state in self.receive().ack.states:
                if state.key == told.key:
                    assert state.committed <= seq
                    if state.committed == seq:
                        return

    def end(self) -> tuple[grpc.StatusCode, str]:
        """How the stream ended; what still comes is passed over."""
        try:
            for _ in self._down:
                pass
        except grpc.RpcError:
            pass
        return self._call.code(), self._call.details()
