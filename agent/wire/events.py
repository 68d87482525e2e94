"""What happened, as messages and back. Texts are cut to their bounds where they are sent, and refused where they come.

``Told`` is the journal's event as the other end knows it: that end has no journal. Attributes come sorted by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from agent.errors import ProtocolError
from agent.wire.ingest_pb2 import Body, Event

EVENTS_MAX: Final = 256  # in one record
ATTRIBUTES_MAX: Final = 16
DETAIL_BYTES: Final = 256
SUBJECT_BYTES: Final = 384  # "pod/", a namespace of 63, "/" and a name of 253 fit
WORD_BYTES: Final = 64


# What ``agent.eviction.journal.Event`` is: time_s, type, state, subject, detail, observed, threshold, unit, attributes.
Journaled = tuple[float, str, str, str, str, float | None, float | None, str, tuple[tuple[str, str], ...]]


class Told(NamedTuple):
    """``observed`` and ``threshold`` are in ``unit``; ``boot_ms`` is the agent's, and never steps."""

    unix_ms: int
    boot_ms: int
    type: str
    state: str
    subject: str
    detail: str = ""
    observed: float | None = None
    threshold: float | None = None
    unit: str = ""
    attributes: tuple[tuple[str, str], ...] = ()


def body_of(events: Iterable[Journaled], clock_ahead_ms: int) -> Body:
    """The record of these events. ``clock_ahead_ms`` is the wall clock less the boot clock, both now."""
    return Body(events=[_message(event, clock_ahead_ms) for event in events])


def _message(event: Journaled, clock_ahead_ms: int) -> Event:
    time_s, kind, state, subject, detail, observed, threshold, unit, attributes = event
    unix_ms = round(time_s * 1000)
    return Event(
        unix_ms=unix_ms,
        boot_ms=unix_ms - clock_ahead_ms,
        type=_cut(kind, WORD_BYTES),
        state=_cut(state, WORD_BYTES),
        subject=_cut(subject, SUBJECT_BYTES),
        detail=_cut(detail, DETAIL_BYTES),
        observed=observed,
        threshold=threshold,
        unit=_cut(unit, WORD_BYTES),
        attributes={_cut(name, WORD_BYTES): _cut(text, DETAIL_BYTES) for name, text in attributes[:ATTRIBUTES_MAX]},
    )


def _cut(text: str, most: int) -> str:
    """At most so many bytes of UTF-8, whole characters."""
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")


def events_of(body: Body) -> tuple[Told, ...]:
    """Raises ProtocolError for a record that has none, too many, or one that is too long."""
    if not 1 <= len(body.events) <= EVENTS_MAX:
        raise ProtocolError(f"a record of the events lane with {len(body.events)} events")
    return tuple(map(_told, body.events))


def _told(event: Event) -> Told:
    attributes = tuple(sorted(event.attributes.items()))
    words = (event.type, event.state, event.unit, *(name for name, _ in attributes))
    texts = (event.detail, *(value for _, value in attributes))
    if len(attributes) > ATTRIBUTES_MAX or _longest(words) > WORD_BYTES or _longest(texts) > DETAIL_BYTES:
        raise ProtocolError("an event that is longer than it may be")
    if not event.type or not event.state or len(event.subject.encode()) > SUBJECT_BYTES:
        raise ProtocolError("an event without a type or a state, or with too long a subject")
    return Told(
        event.unix_ms,
        event.boot_ms,
        event.type,
        event.state,
        event.subject,
        event.detail,
        event.observed if event.HasField("observed") else None,
        event.threshold if event.HasField("threshold") else None,
        event.unit,
        attributes,
    )


def _longest(texts: Iterable[str]) -> int:
    return max(len(text.encode()) for text in texts)
