"""The table that a person reads at 3 a.m."""

from __future__ import annotations

import re
from typing import Any

import pytest

from agent.eviction.table import RED, RESET, YELLOW, duration, quantity, table


def threshold(**said: Any) -> dict[str, Any]:
    return {
        "kind": "hard",
        "text": "10%",
        "origin": "configz",
        "grace_seconds": None,
        "quantity": 100 << 20,
        "margin": 836 << 20,
        "margin_ratio": 0.8187,
        "crossed": False,
        "seconds_to_threshold": None,
        **said,
    }


def report(*thresholds: dict[str, Any], **said: Any) -> dict[str, Any]:
    signal = {
        "signal": "nodefs.available",
        "unit": "bytes",
        "source": "direct",
        "sources": {"direct": {"available": 936 << 20, "capacity": 1 << 30, "age_seconds": 0.5}},
        "trend_per_second": -1024.0,
        "thresholds": list(thresholds),
        "next": [{"namespace": "default", "pod": f"pod-{n}"} for n in range(5)],
    }
    return {
        "node": "worker-1",
        "origin": "configz",
        "signals": [signal],
        "conditions": {"MemoryPressure": False, "DiskPressure": False},
        "limits_exceeded": [],
        "notes": [],
        **said,
    }


def test_a_row_says_everything() -> None:
    """Available, threshold with its percentage, margin, trend, and the next three pods, no more."""
    lines = table(report(threshold(seconds_to_threshold=754.0)))
    assert lines[0] == "worker-1: no pressure. Thresholds: the kubelet's /configz."
    assert re.split(" {2,}", lines[3]) == [
        "nodefs.available",
        "936 MiB",
        "100 MiB (10%)",
        "836 MiB (81.9%)",
        "-60.0 KiB/min",
        "13 min",
        "default/pod-0, default/pod-1, default/pod-2",
    ]


def test_what_is_not_known_is_not_0() -> None:
    """A threshold of unknown quantity shows its text and a question mark; a signal without one says none."""
    unknown = threshold(quantity=None, margin=None, margin_ratio=None, crossed=None)
    assert "  10%  " in table(report(unknown))[3]
    assert "  ?  " in table(report(unknown))[3]
    assert "  none  " in table(report())[3]


@pytest.mark.parametrize(
    ("said", "paint"),
    [
        ({}, ""),
        ({"margin_ratio": 0.01}, YELLOW),
        ({"seconds_to_threshold": 60.0}, YELLOW),
        ({"crossed": True, "margin": -1, "margin_ratio": -0.0001}, RED),
    ],
)
def test_colours_say_how_bad_it_is(said: dict[str, Any], paint: str) -> None:
    """Red is crossed, yellow is near; without a terminal there is no escape in any line."""
    row = table(report(threshold(**said)), colours=True)[3]
    assert row.startswith(paint + "nodefs.available")
    assert row.endswith(RESET) == bool(paint)
    assert not any("\033" in line for line in table(report(threshold(**said))))


def test_a_crossed_threshold_is_said_in_words() -> None:
    """Who prints in black and white sees it too."""
    crossed = threshold(crossed=True, margin=-(3 << 20), margin_ratio=-0.003)
    assert "CROSSED" in table(report(crossed, conditions={"DiskPressure": True}))[3]
    assert table(report(crossed, conditions={"DiskPressure": True}))[0].startswith("worker-1: DiskPressure.")


def test_a_narrow_terminal_cuts_lines() -> None:
    """No line of the table is wider than the terminal."""
    lines = table(report(threshold()), width=60)
    assert max(len(line) for line in lines[2:]) == 60
    assert lines[3].endswith("…")


@pytest.mark.parametrize("width", [72, 80, 90, 100])
def test_a_narrow_terminal_still_says_how_long(width: int) -> None:
    """What a signal has and how it moves is given up before what is left of it, and when it is over."""
    said = report(
        threshold(crossed=True, margin=-(700 << 20), margin_ratio=-0.819), threshold(seconds_to_threshold=754.0)
    )
    said["signals"][0]["signal"] = "allocatableMemory.available"
    _, _, head, crossed, near = table(said, width=width)
    assert max(map(len, (head, crossed, near))) <= width
    for shown, line in (("MARGIN", head), ("TIME LEFT", head), ("-700 MiB (-81.9%)", crossed), ("13 min", near)):
        assert shown in line
    assert "CROSSED" in crossed
    assert ("TREND" in head) == (width == 100)


def test_nothing_that_was_read_steers_the_terminal() -> None:
    """Neither a kubelet nor whoever listens in the agent's place may write over what a person reads."""
    escape = "\x1b[2J\n\u202e"
    said = report(
        threshold(text=f"10%{escape}", quantity=None),
        node=escape,
        conditions={f"DiskPressure{escape}": True},
        limits_exceeded=[{"namespace": escape, "pod": escape, "limit": escape}],
        notes=[escape],
    )
    said["signals"][0]["next"] = [{"namespace": escape, "pod": "p"}]
    lines = table(said)
    assert all(line.isprintable() for line in lines)
    assert "?[2J" in lines[0]


def test_pods_over_their_own_limits_are_named() -> None:
    """They go before any other, whatever the order says."""
    over = [{"namespace": "default", "pod": "logger", "limit": "emptydirfs.limit"}]
    assert any(
        "default/logger is over its own emptydirfs.limit" in line for line in table(report(limits_exceeded=over))
    )


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0, "bytes", "0 B"),
        (1023, "bytes", "1023 B"),
        (1536, "bytes", "1.50 KiB"),
        (-(20 << 20), "bytes", "-20.0 MiB"),
        (936 << 20, "bytes", "936 MiB"),
        (1 << 62, "bytes", "4.00 EiB"),
        (1234567, "inodes", "1,234,567"),
        (32435, "pids", "32,435"),
    ],
)
def test_quantities(value: float, unit: str, shown: str) -> None:
    """Three digits that matter, binary units for bytes alone."""
    assert quantity(value, unit) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (5000, "83 min"), (7200, "2.0 h"), (172800, "2.0 d")],
)
def test_durations(seconds: float, shown: str) -> None:
    """Seconds while they matter."""
    assert duration(seconds) == shown
