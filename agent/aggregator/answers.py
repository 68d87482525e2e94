"""Names of lanes and sessions as messages and back, and the answers that are due as messages."""

from __future__ import annotations

from typing import Final

from agent.aggregator.commit import Ack
from agent.aggregator.commit import Welcome as Welcomed
from agent.aggregator.lanes import Key
from agent.wire.ingest_pb2 import Ack as AckMessage
from agent.wire.ingest_pb2 import AggregatorMessage, Lane, State, Welcome
from agent.wire.ingest_pb2 import Key as KeyMessage
from agent.wire.limits import LIMITS

WINDOW: Final = 64  # records of a session on the way
LANES: Final[dict[int, str]] = {Lane.LANE_SAMPLES: "samples", Lane.LANE_EVENTS: "events"}
LANE_NUMBERS: Final = {"samples": Lane.LANE_SAMPLES, "events": Lane.LANE_EVENTS}


def key_of(message: KeyMessage) -> Key:
    """Ingest refuses what is no lane."""
    return Key(message.spool_id, LANES.get(message.lane, ""), message.number)


def answer_of(due: Welcomed | Ack, store_id: bytes, now_ms: int) -> AggregatorMessage:
    states = [
        State(
            key=KeyMessage(spool_id=one.key.spool_id, lane=LANE_NUMBERS[one.key.lane], number=one.key.number),
            committed=one.committed,
            closed=one.closed,
        )
        for one in due.states
    ]
    if isinstance(due, Ack):
        return AggregatorMessage(ack=AckMessage(states=states))
    welcome = Welcome(
        states=states,
        live_window=WINDOW,
        backfill_window=WINDOW,
        max_record_bytes=LIMITS.record_bytes,
        aggregator_unix_ms=now_ms,
        store_id=store_id,
    )
    return AggregatorMessage(welcome=welcome)
