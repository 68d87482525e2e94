"""What a corpus costs between two sockets: a real TLS stream to a real aggregator, counted by a relay in between.

From the agent: its records in TLS, HTTP/2 and gRPC. To it: the acknowledgement of each record, which is committed
before the next is sent, as at an interval of 10 s. Without the handshake, which a stream has once, and TCP's headers.
"""

from __future__ import annotations

import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import grpc

from agent.push.transport import METHOD, OPTIONS
from agent.wire import ingest_pb2 as pb
from benchmarks.corpus import Recorded
from benchmarks.measured import Measured, free_port

QUIET_S = 0.5


class Carried(NamedTuple):
    """Bytes by direction."""

    up: int
    down: int


class Relay:
    """Carries one connection, and counts it."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._counts = [0, 0]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        far = socket.create_connection(("127.0.0.1", self._target))
        for index, pair in enumerate(((near, far), (far, near))):
            threading.Thread(target=self._carry, args=(index, *pair), daemon=True).start()

    def _carry(self, index: int, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
                self._counts[index] += len(data)
        except OSError:
            pass
        for one in (source, sink):
            one.close()

    def carried(self) -> Carried:
        """When nothing has come for a while."""
        before = None
        while before != (before := tuple(self._counts)):
            time.sleep(QUIET_S)
        return Carried(*self._counts)


def carried(ticks: list[Recorded], record_of: Callable[[bytes, int, Recorded], bytes]) -> Carried:
    """The bytes of these ticks as one file. ``record_of`` makes a record of a session, a number and a tick."""
    from tests.aggregator.certificates import flags, make

    with tempfile.TemporaryDirectory(prefix="headroom-bench-") as place:
        make(Path(place))
        port, http = free_port(), free_port()
        listen = [f"--grpc-listen=127.0.0.1:{port}", f"--http-listen=127.0.0.1:{http}", f"--data-dir={place}/data"]
        command = [sys.executable, "-m", "agent.cli", "aggregator", *listen, *flags(Path(place))]
        with Measured("wire", command, http) as server:
            server.first_answer_s("/healthz", 30)
            relay = Relay(port)
            return _streamed(relay, Path(place), ticks, record_of)


def _streamed(relay: Relay, place: Path, ticks: list[Recorded], record_of: Callable[..., bytes]) -> Carried:
    from tests.aggregator.certificates import credentials

    key, sid = pb.Key(spool_id=bytes(range(16)), lane=pb.LANE_SAMPLES, number=1), bytes(range(16))
    options = (*OPTIONS, ("grpc.ssl_target_name_override", "aggregator"))
    with grpc.secure_channel(f"127.0.0.1:{relay.port}", credentials(place, "worker-1"), options) as channel:
        out = _Sent()
        down: Any = channel.stream_stream(METHOD)(out)
        listed = pb.Session(key=key, sid=sid, first=1)
        out.send(pb.AgentMessage(hello=pb.Hello(protocol=1, node="worker-1", interval_ms=10_000, sessions=[listed])))
        next(down)
        before = relay.carried()
        out.send(pb.AgentMessage(header=pb.Header(format=1, key=key, sid=sid, first=1)))
        for number, tick in enumerate(ticks, 1):
            out.send(pb.AgentMessage(record=pb.Record.FromString(record_of(sid, number, tick))))
            while pb.AggregatorMessage.FromString(next(down)).ack.states[0].committed < number:
                pass
        after = relay.carried()
        out.end()
    return Carried(after.up - before.up, after.down - before.down)


class _Sent:
    """What a call sends, message by message."""

    def __init__(self) -> None:
        self._more = threading.Condition()
        self._queue: list[bytes | None] = []

    def send(self, message: pb.AgentMessage) -> None:
        with self._more:
            self._queue.append(message.SerializeToString())
            self._more.notify()

    def end(self) -> None:
        with self._more:
            self._queue.append(None)
            self._more.notify()

    def __iter__(self) -> _Sent:
        return self

    def __next__(self) -> bytes:
        with self._more:
            self._more.wait_for(lambda: self._queue)
            message = self._queue.pop(0)
        if message is None:
            raise StopIteration
        return message
