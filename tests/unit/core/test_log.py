"""Log lines."""

from __future__ import annotations

import json
import select
from collections.abc import Iterator

import pytest

from agent import log


@pytest.fixture(autouse=True)
def defaults() -> Iterator[None]:
    yield
    log.configure("info", "logfmt")


def test_logfmt_quotes_what_would_break_the_line(capfd: pytest.CaptureFixture[str]) -> None:
    """Spaces, quotes, line breaks and control characters stay inside their value and on their line."""
    log.configure("info", "logfmt")
    log.info("two words", plain=1, quoted='say "hi"', broken="a\nb\x1b[31m", empty="")
    (line,) = capfd.readouterr().err.splitlines()
    assert (
        line.split(" level=")[1] == r'info msg="two words" plain=1 quoted="say \"hi\"" broken="a\nb\u001b[31m" empty=""'
    )


def test_json_is_one_object_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    """Numbers stay numbers, everything else is text."""
    log.configure("info", "json")
    log.error("it\nbroke", count=3, error=ValueError("x"))
    (line,) = capfd.readouterr().err.splitlines()
    record = json.loads(line)
    assert (record["level"], record["msg"], record["count"], record["error"]) == ("error", "it\nbroke", 3, "x")
    assert record["time"].endswith("Z")


def test_a_line_is_bounded(capfd: pytest.CaptureFixture[str]) -> None:
    """An error's text may hold a whole exposition. What a pipe does not take at once would mix."""
    log.configure("info", "logfmt")
    log.error("long", one="\n" * 100_000, two="\xe4" * 100_000)
    (line,) = capfd.readouterr().err.splitlines()
    assert 1000 < len(line.encode()) < select.PIPE_BUF
    assert line.count("(100000 characters)") == 2


def test_the_level_is_a_threshold(capfd: pytest.CaptureFixture[str]) -> None:
    """What is below the level is not written."""
    log.configure("warn", "logfmt")
    log.debug("no")
    log.info("no")
    log.warn("yes")
    log.error("yes")
    assert capfd.readouterr().err.count("msg=yes") == 2
