"""The delivery between a real spool and a transport that is a script: whatever an aggregator says, nothing breaks."""

from __future__ import annotations

import tempfile
import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.push.delivery import Delivery
from agent.push.held import Key
from agent.push.messages import Identity
from agent.push.push_telemetry import PushTelemetry
from agent.push.spool import Limits, Spool
from agent.push.transport import Connected, Ended, Happening, Received
from agent.wire import ingest_pb2 as pb
from agent.wire.record import pack

LANES = {"samples": pb.LANE_SAMPLES, "events": pb.LANE_EVENTS}


class Link:
    """Remembers what was sent; what was heard is what the test puts into it."""

    def __init__(self) -> None:
        self.target = "t"
        self.writable = True
        self.sent: list[pb.AgentMessage] = []
        self.heard: list[Happening] = [Connected("t")]
        self.closed = False

    def send(self, data: bytes) -> None:
        self.sent.append(pb.AgentMessage.FromString(data))

    def take(self) -> list[Happening]:
        taken, self.heard = self.heard, []
        return taken

    def close(self, flush: bool) -> None:
        self.closed = True


class Transport:
    def __init__(self) -> None:
        self.links: list[Link] = []
        self.security = self

    def seen(self) -> tuple[object, ...]:
        return ()

    def connect(self, _: object) -> Link:
        self.links.append(Link())
        return self.links[-1]

    def failed(self) -> None:
        pass

    def stop(self, _: float) -> None:
        pass


class Bench:
    """``now_s`` is the clock that the session is told."""

    def __init__(self, directory: str) -> None:
        self.spool = Spool(directory, Limits(max_bytes=4096, file_bytes=200))
        self.transport = Transport()
        any_transport: Any = self.transport
        identity = Identity("1", "c", "n", b"", 1000)
        self.delivery = Delivery(self.spool, any_transport, identity, PushTelemetry(), bool)
        self.now_s = time.monotonic()

    def append(self, lane: Any) -> None:
        body = pb.Body(events=[pb.Event(detail="x")])
        self.delivery.appended(self.spool.append(lane, lambda place: pack(place.sid, place.seq, body)))

    def turn(self, seconds: float = 0.0) -> None:
        self.now_s += seconds
        self.delivery.tick(self.now_s)
        for _ in range(3):  # to make a link, to hear that it is connected, to say Hello
            while self.delivery.turn(self.now_s):
                pass

    def hear(self, message: pb.AggregatorMessage) -> None:
        self.transport.links[-1].heard.append(Received(message.SerializeToString()))


numbers = st.integers(0, 2**64 - 1) | st.integers(0, 40)
steps = st.lists(
    st.tuples(
        st.sampled_from(["samples", "samples", "events", "fair", "fair", "welcome", "ack", "end", "turn", "noise"]),
        st.lists(st.tuples(st.booleans(), numbers, st.booleans()), max_size=4),
        st.integers(0, 2**32 - 1) | st.integers(0, 5),
    ),
    max_size=40,
)


@given(steps)
@settings(max_examples=150, deadline=None)
def test_no_answer_breaks_it(script: list[tuple[str, list[tuple[bool, int, bool]], int]]) -> None:
    """Welcomes and Acks out of turn, of any numbers, and streams that end: it goes on, and its spool stays whole."""
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(directory)
        bench.turn(100.0)
        for kind, claims, number in script:
            if kind in LANES:
                bench.append(kind)
            elif kind in ("welcome", "ack"):
                bench.hear(_answer(kind, bench.spool, claims, number))
            elif kind == "fair":
                bench.hear(_fair(bench.spool))
            elif kind == "noise":
                bench.transport.links[-1].heard.append(Received(bytes([number % 256] * 3)))
            elif kind == "end":
                bench.transport.links[-1].heard.append(Ended("ended", ""))
            bench.turn(float(number % 7))
        bench.turn(100.0)
        live = [one for one in bench.spool.held() if not one.sealed]
        assert sorted(one.key.lane for one in live) == ["events", "samples"]
        bench.append("samples")
        bench.spool.close()


def _fair(spool: Spool) -> pb.AggregatorMessage:
    """The Welcome of an aggregator that has nothing yet."""
    states = [pb.State(key=_key(one.key, True)) for one in spool.held()]
    return pb.AggregatorMessage(
        welcome=pb.Welcome(states=states, live_window=9, backfill_window=9, max_record_bytes=1 << 18)
    )


def _answer(kind: str, spool: Spool, claims: list[tuple[bool, int, bool]], number: int) -> pb.AggregatorMessage:
    """About the sessions that are there, and about some that are not."""
    keys = [one.key for one in spool.held()]
    states = [
        pb.State(key=_key(keys[at % len(keys)], known), committed=at, closed=closed) for known, at, closed in claims
    ]
    if kind == "ack":
        return pb.AggregatorMessage(ack=pb.Ack(states=states))
    window = pb.Welcome(states=states, live_window=number, backfill_window=number, max_record_bytes=number)
    return pb.AggregatorMessage(welcome=window)


def _key(key: Key, known: bool) -> pb.Key:
    return pb.Key(spool_id=key.spool_id, lane=LANES[key.lane], number=key.number if known else key.number + 7)
