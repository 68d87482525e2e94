"""What goes over the stream, as bytes: the agent's messages, and the aggregator's taken apart. Pure.

Headers and records are the bytes of the spool, with the message's tag before them. Of what comes nothing is trusted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from agent.errors import ProtocolError
from agent.push.commands import SendLost, State, Welcome
from agent.push.held import Held, Key, Lane
from agent.push.spool_format import LANE_NUMBERS
from agent.wire import ingest_pb2 as pb

PROTOCOL: Final = 1
STATES_MAX: Final = 64
RECORD_BYTES_LEAST: Final = 16 << 10  # whatever the aggregator says: less would be to refuse everything
_HEADER, _RECORD = b"\x12", b"\x1a"  # of AgentMessage, as protobuf writes their tags
_LANES: Final[dict[int, Lane]] = {int(number): lane for lane, number in LANE_NUMBERS.items()}


class Identity(NamedTuple):
    """Who this agent says that it is; what its credential allows decides."""

    version: str
    cluster: str
    node: str
    boot_id: bytes
    interval_ms: int


class Greeting(NamedTuple):
    """A Welcome, and the largest serialized Record that this aggregator takes."""

    welcome: Welcome
    record_bytes: int


def hello(identity: Identity, sent_unix_ms: int, sessions: Iterable[Held], size_bytes: int, limit_bytes: int) -> bytes:
    message = pb.AgentMessage()
    said = message.hello
    said.protocol = PROTOCOL
    said.agent_version, said.cluster, said.node, said.boot_id, said.interval_ms = identity
    said.sent_unix_ms = sent_unix_ms
    said.spool_bytes, said.spool_limit_bytes = size_bytes, limit_bytes
    for one in sessions:
        said.sessions.add(
            key=_key(one.key), sid=one.sid, base=one.base, first=one.first, last=one.last, sealed=one.sealed
        )
    return message.SerializeToString()


def header(body: bytes) -> bytes:
    return _HEADER + _varint(len(body)) + body


def record(body: bytes) -> bytes:
    return _RECORD + _varint(len(body)) + body


def lost(said: SendLost) -> bytes:
    message = pb.Lost(key=_key(said.key), first=said.first, last=said.last, reason=said.reason)
    return pb.AgentMessage(lost=message).SerializeToString()


def goodbye() -> bytes:
    return pb.AgentMessage(goodbye=pb.Goodbye()).SerializeToString()


def heard(data: bytes) -> Greeting | tuple[State, ...]:
    """What the aggregator says: a Welcome, or an Ack's states. Raises ProtocolError."""
    try:
        message = pb.AggregatorMessage.FromString(data)
    except DecodeError:
        raise ProtocolError("a message that cannot be read") from None
    kind = message.WhichOneof("kind")
    if kind == "ack":
        return _states(message.ack.states)
    if kind == "welcome":
        said = message.welcome
        welcome = Welcome(_states(said.states), said.live_window, said.backfill_window)
        return Greeting(welcome, max(RECORD_BYTES_LEAST, said.max_record_bytes or RECORD_BYTES_LEAST))
    return ()  # of a later version


def _states(states: Iterable[pb.State]) -> tuple[State, ...]:
    found = tuple(
        State(Key(one.key.spool_id, _LANES[one.key.lane], one.key.number), one.committed, one.closed)
        for one in states
        if one.key.lane in _LANES
    )
    if len(found) > STATES_MAX:
        raise ProtocolError(f"states of {len(found)} sessions")
    return found


def _key(key: Key) -> pb.Key:
    return pb.Key(spool_id=key.spool_id, lane=LANE_NUMBERS[key.lane], number=key.number)


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
