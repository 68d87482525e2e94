"""An aggregator as small as it can be: the pure Ingest behind a real gRPC server, with a store in memory.

It may be stopped, and started again on its port with what is durable; and told to say nothing. Every record is decoded
as it comes, by the decoder that its stream set up at the file's header.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import grpc

from agent.aggregator.commit import Ack, Commit, Welcome
from agent.aggregator.ingest import Ingest
from agent.aggregator.lanes import Gap, Key, Lane, Listed, Place
from agent.errors import ProtocolError
from agent.wire import ingest_pb2 as pb
from agent.wire.decoder import Decoder
from agent.wire.events import Told, events_of
from agent.wire.limits import LIMITS
from agent.wire.record import unpack

METHOD = "/headroom.ingest.v1.Ingest/Stream"
LANES = {pb.LANE_SAMPLES: "samples", pb.LANE_EVENTS: "events"}
NUMBERS = {name: number for number, name in LANES.items()}


class Store:
    """What is durable: records as (place, session, sequence) with what they say."""

    def __init__(self) -> None:
        self.lanes: dict[Place, Lane] = {}
        self.records: list[tuple[tuple[Place, int, int], Any]] = []
        self.gaps: list[Gap] = []

    def write(self, commit: Commit) -> None:
        for place, lane in commit.lanes.items():
            if lane is None:
                self.lanes.pop(place, None)
            else:
                self.lanes[place] = lane
        self.records += [((one.place, one.number, one.seq), one.payload) for one in commit.records]
        self.gaps += commit.gaps

    def of(self, lane: str) -> list[tuple[tuple[Place, int, int], Any]]:
        return [one for one in list(self.records) if one[0][0].lane == lane]


class Aggregator:
    """``silent``: Hellos are read and not answered. ``hellos`` and ``metadata`` are those that came."""

    def __init__(self, store: Store, port: int = 0, credentials: grpc.ServerCredentials | None = None) -> None:
        self.store = store
        self.hellos: list[pb.Hello] = []
        self.metadata: list[dict[str, str | bytes]] = []
        self.errors: list[str] = []
        self.goodbyes = 0
        self.live_window, self.silent, self.acking = 64, False, True
        self.record_bytes = LIMITS.record_bytes
        self._ingest = Ingest(store.lanes)
        self._lock = threading.Lock()
        self._streams: dict[int, SimpleQueue[pb.AggregatorMessage | None]] = {}
        self._server = grpc.server(
            ThreadPoolExecutor(8),
            options=[("grpc.so_reuseport", 0), ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000)],
        )
        handler = grpc.stream_stream_rpc_method_handler(
            self._stream,
            request_deserializer=pb.AgentMessage.FromString,
            response_serializer=pb.AggregatorMessage.SerializeToString,
        )
        service, method = METHOD[1:].split("/")
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
        address = f"127.0.0.1:{port}"
        self.port = (
            self._server.add_secure_port(address, credentials)
            if credentials
            else self._server.add_insecure_port(address)
        )
        self._server.start()

    def stop(self) -> None:
        """As a crash: what is not durable is gone."""
        with self._lock:
            self.acking = False
            for answers in self._streams.values():
                answers.put(None)
        self._server.stop(0).wait()

    def _stream(self, requests: Iterator[pb.AgentMessage], context: grpc.ServicerContext) -> Iterator[Any]:
        answers: SimpleQueue[pb.AggregatorMessage | None] = SimpleQueue()
        with self._lock:
            number = len(self.metadata) + 1
            self.metadata.append({one.key: one.value for one in context.invocation_metadata()})
            self._streams[number] = answers
        threading.Thread(target=self._read, args=(number, requests), daemon=True).start()
        while (answer := answers.get()) is not None:
            yield answer

    def _read(self, number: int, requests: Iterator[pb.AgentMessage]) -> None:
        decoders: dict[bytes, tuple[str, Decoder]] = {}
        try:
            for message in requests:
                with self._lock:
                    self._take(number, message, decoders)
        except ProtocolError as error:
            self.errors.append(str(error))
        except grpc.RpcError:
            pass
        with self._lock:
            self._ingest.ended(number, 0)
            self._streams[number].put(None)

    def _take(self, number: int, message: pb.AgentMessage, decoders: dict[bytes, tuple[str, Decoder]]) -> None:
        kind = message.WhichOneof("kind")
        if kind == "hello":
            self.hellos.append(message.hello)
            listed = [Listed(_key(one.key), one.sid, one.base, one.last, one.sealed) for one in message.hello.sessions]
            if self.silent:
                return
            self._ingest.hello(number, message.hello.node, listed, int(time.time()))
        elif kind == "header":
            said = message.header
            self._ingest.header(number, _key(said.key), said.sid, said.first)
            decoders[said.sid] = (LANES[said.key.lane], Decoder(said.schema, LIMITS))
        elif kind == "record":
            lane, decoder = decoders[message.record.sid]
            sid, seq, body = unpack(message.record.SerializeToString())
            told: Any
            if lane == "samples":
                decoder.apply(body)
                told = (body.tick.unix_ms, decoder.blocks())
            else:
                told = events_of(body)
            self._ingest.record(number, sid, seq, told)
        elif kind == "lost":
            lost = message.lost
            self._ingest.lost(number, _key(lost.key), lost.first, lost.last, pb.Lost.Reason.Name(lost.reason))  # type: ignore[arg-type]
        elif kind == "goodbye":
            self.goodbyes += 1
        self._commit()

    def _commit(self) -> None:
        if not self.acking:
            return
        while commit := self._ingest.commit():
            self.store.write(commit)
            for answer in self._ingest.committed():
                if answer.stream in self._streams:
                    self._streams[answer.stream].put(self._message(answer))

    def _message(self, answer: Welcome | Ack) -> pb.AggregatorMessage:
        states = [
            pb.State(
                key=pb.Key(spool_id=one.key.spool_id, lane=NUMBERS[one.key.lane], number=one.key.number),
                committed=one.committed,
                closed=one.closed,
            )
            for one in answer.states
        ]
        if isinstance(answer, Ack):
            return pb.AggregatorMessage(ack=pb.Ack(states=states))
        window = self.live_window
        return pb.AggregatorMessage(
            welcome=pb.Welcome(
                states=states, live_window=window, backfill_window=window, max_record_bytes=self.record_bytes
            )
        )


def _key(key: pb.Key) -> Key:
    return Key(key.spool_id, LANES[key.lane], key.number)


def told(store: Store) -> list[Told]:
    """All events, in the order in which they came."""
    return [event for _, events in store.of("events") for event in events]
