"""RFC 3339 times and Go durations."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Malformed
from agent.sources.kubelet.timestamp import field_duration, field_time, parse_duration, parse_time

ZONES = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("2026-11-20T23:31:47Z", 1795217507.0),
        ("2026-11-20T23:30:36.874100702Z", 1795217436.874100702),
        ("2024-02-29T12:00:00+01:30", 1709202600.0),
        ("1969-12-31T23:59:59Z", -1.0),
    ],
)
def test_times_are_seconds_since_the_epoch(text: str, seconds: float) -> None:
    """As the kubelet writes them, and with what the standard allows besides."""
    assert parse_time(text) == seconds


@given(st.datetimes(timezones=ZONES))
def test_every_time_is_what_the_standard_library_says(moment: datetime) -> None:
    """All years, leap days and offsets."""
    assert parse_time(moment.isoformat()) == pytest.approx(moment.timestamp(), abs=1e-5)


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-11-20", "2026-11-20T23:31:47", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z"]
    + ["2026-01-01T24:00:00Z", "2026-01-00T00:00:00Z", "0000-01-01T00:00:00Z", "\u0662026-01-01T00:00:00Z"]
    + ["2026-11-20T23:31:47Z\n"],
)  # fmt: skip
def test_other_times_are_malformed(text: str) -> None:
    """No day that does not exist, no time without a zone."""
    with pytest.raises(Malformed):
        parse_time(text)


def test_an_unset_time_is_none() -> None:
    """Absent, null, empty, and the zero time of Go."""
    for owner in ({}, {"time": None}, {"time": ""}, {"time": "0001-01-01T00:00:00Z"}):
        assert field_time(owner, "time") is None
    assert field_time({"time": "1970-01-01T00:00:01Z"}, "time") == 1.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5m0s", 300.0), ("1h30m", 5400.0), ("100ms", 0.1), ("0", 0.0), ("0s", 0.0), ("1.5h", 5400.0), (".5s", 0.5)]
    + [("-1m", -60.0), ("+1m", 60.0), ("1us", 1e-6), ("1\u00b5s", 1e-6), ("4h0m0s", 14400.0)],
)
def test_durations_are_seconds(text: str, seconds: float) -> None:
    """As Go writes them."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "1d", "1h-5m", "99999999h", "."])
def test_other_durations_are_malformed(text: str) -> None:
    """A number needs its unit; there are no days."""
    with pytest.raises(Malformed):
        parse_duration(text)


def test_an_absent_duration_is_none() -> None:
    """It is not 0 seconds."""
    assert field_duration({}, "period") is None
    assert field_duration({"period": "0s"}, "period") == 0.0


@given(st.text() | st.text("0123456789-:TZ+.hmsnu", max_size=30))
def test_any_text_is_seconds_or_malformed(text: str) -> None:
    """Nothing else is raised."""
    for parse in (parse_time, parse_duration):
        try:
            assert isinstance(parse(text), float)
        except Malformed:
            pass
