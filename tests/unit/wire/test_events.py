"""Events of the journal, as the other end gets to know them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import ProtocolError
from agent.eviction.journal import Event
from agent.wire.events import ATTRIBUTES_MAX, DETAIL_BYTES, EVENTS_MAX, Told, body_of, events_of
from agent.wire.ingest_pb2 import Body
from agent.wire.ingest_pb2 import Event as Message
from agent.wire.record import pack, unpack

AHEAD_MS = 1_700_000_000_000
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=16)
EVENTS = st.builds(
    Event,
    time_s=st.integers(0, 2**40).map(lambda ms: ms / 1000),
    type=st.sampled_from(["signal", "condition", "oom_kill", "eviction"]),
    state=st.sampled_from(["crossed", "cleared", "occurred"]),
    subject=WORDS,
    detail=WORDS,
    observed=st.none() | st.floats(allow_nan=False),
    threshold=st.none() | st.floats(allow_nan=False),
    unit=WORDS,
    attributes=st.dictionaries(WORDS, WORDS, max_size=4).map(lambda pairs: tuple(sorted(pairs.items()))),
)


def through(*events: Event) -> tuple[Told, ...]:
    return events_of(unpack(pack(bytes(16), 1, body_of(events, AHEAD_MS))).body)


@given(st.lists(EVENTS, min_size=1, max_size=5))
def test_events_come_back(events: list[Event]) -> None:
    """Each with its time to the millisecond, by both clocks; what was not observed is None, not 0."""
    for event, told in zip(events, through(*events), strict=True):
        assert told.unix_ms == round(event.time_s * 1000)
        assert told.boot_ms == told.unix_ms - AHEAD_MS
        assert told[2:] == event[1:4] + event[4:]


def test_what_is_too_long_is_cut_where_it_is_sent() -> None:
    """To whole characters, so that a long detail or many attributes never cost the event."""
    many = tuple((f"{n:02}", "é" * 200) for n in range(40))
    (told,) = through(Event(1.0, "signal", "crossed", "x" * 1000, detail="é" * 1000, attributes=many))
    assert told.detail == "é" * (DETAIL_BYTES // 2)
    assert told.attributes == tuple((name, "é" * (DETAIL_BYTES // 2)) for name, _ in many[:ATTRIBUTES_MAX])
    assert told.subject == "x" * 384


@pytest.mark.parametrize(
    "events",
    [
        [],
        [Message(type="signal", state="crossed")] * (EVENTS_MAX + 1),
        [Message(type="signal")],
        [Message(state="crossed")],
        [Message(type="t" * 65, state="crossed")],
        [Message(type="signal", state="crossed", detail="d" * 257)],
        [Message(type="signal", state="crossed", subject="s" * 385)],
        [Message(type="signal", state="crossed", unit="é" * 33)],
        [Message(type="signal", state="crossed", attributes={"a" * 65: ""})],
        [Message(type="signal", state="crossed", attributes={"a": "v" * 257})],
        [Message(type="signal", state="crossed", attributes={str(n): "" for n in range(17)})],
    ],
)
def test_what_is_too_long_is_refused_where_it_comes(events: list[Message]) -> None:
    """An agent that does not cut is not one of ours."""
    with pytest.raises(ProtocolError):
        events_of(Body(events=events))
    assert events_of(Body(events=[Message(type="new", state="kind")]))[0].type == "new"
