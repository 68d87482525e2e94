"""The journal is bounded, numbers what it was given, and counts what it dropped."""

from __future__ import annotations

from agent.eviction.journal import DETAIL_MAX, Event, Journal


def event(second: int, detail: str = "") -> Event:
    return Event(float(second), "signal", "crossed", "memory.available", detail)


def test_events_are_numbered_from_one() -> None:
    """A reader that took the first asks for what came after it, and gets the rest in order."""
    journal = Journal()
    for second in range(3):
        journal.add(event(second))
    assert [(one.number, one.event.time_s) for one in journal.after(1)] == [(2, 1.0), (3, 2.0)]
    assert journal.after(3) == []


def test_what_is_dropped_is_counted() -> None:
    """A full journal loses its oldest, says how many, and still counts them among those written."""
    journal = Journal(most=2)
    for second in range(5):
        journal.add(event(second))
    assert [one.number for one in journal.after(0)] == [4, 5]
    assert journal.dropped == 3
    assert journal.written[("signal", "crossed")] == 5


def test_what_never_happened_is_counted_as_0() -> None:
    """A counter that begins with its first event never grew: nobody's alert on its increase would fire."""
    journal = Journal()
    before = dict(journal.written)
    assert set(before.values()) == {0}
    journal.add(event(1))
    assert journal.written.keys() == before.keys()


def test_a_detail_is_bounded() -> None:
    """A message of any length costs no more than its bound."""
    journal = Journal()
    journal.add(event(1, "x" * 10_000))
    assert len(journal.after(0)[0].event.detail) == DETAIL_MAX
