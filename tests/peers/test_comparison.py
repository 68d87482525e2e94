"""The comparison itself: it must see what it is there to see."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.comparison import Found, agreement, shape, stale, unlisted, values
from tests.peers.exposition import Scrape, parse
from tests.tools.differences import Difference, read

PEER = b"""# HELP node_a_total A.
# TYPE node_a_total counter
node_a_total{d="x"} 1
node_a_total{d="y"} 2
# HELP node_load1 1m.
# TYPE node_load1 gauge
node_load1 0.1
# HELP go_info Own.
# TYPE go_info gauge
go_info 1
"""


def changed(*replacements: tuple[bytes, bytes]) -> Scrape:
    text = PEER
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return parse(text)


def test_an_equal_scrape_has_no_differences() -> None:
    """The order of labels and series, and what the exporters say about themselves, make none."""
    agent = changed(
        (b"go_info", b"headroom_info"), (b'node_a_total{d="x"} 1\n', b""), (b"# HELP node_l", b"# HELP node_l")
    )
    agent.samples['node_a_total{d="x"}'] = 1.0
    agent.family['node_a_total{d="x"}'] = "node_a_total"
    assert shape(agent, parse(PEER)) == []
    assert values(agent, parse(PEER), parse(PEER)) == []
    assert agreement([], parse(PEER)) == 1.0


@pytest.mark.parametrize(
    ("old", "new", "kind", "series"),
    [
        (b'node_a_total{d="y"} 2\n', b"", "missing", 'node_a_total{d="y"}'),
        (b'd="y"', b'e="y"', "missing", 'node_a_total{d="y"}'),
        (b'd="y"', b'e="y"', "extra", 'node_a_total{e="y"}'),
        (b"node_load1 gauge", b"node_load1 untyped", "type", "node_load1"),
        (b"1m.", b"1 m.", "help", "node_load1"),
    ],
)
def test_each_kind_of_difference_is_seen(old: bytes, new: bytes, kind: str, series: str) -> None:
    """A missing or additional series, another label, another type and another HELP are each found."""
    found = shape(changed((old, new)), parse(PEER))
    assert (kind, series) in [(one.kind, one.series) for one in found]
    assert agreement(found, parse(PEER)) < 1.0 or kind == "extra"


@pytest.mark.parametrize(
    ("before", "agent", "after", "right"),
    [
        (b"2", b"2", b"2", True),
        (b"2", b"2.5", b"2", False),  # constant
        (b"2", b"3", b"4", True),
        (b"2", b"4.5", b"4", False),  # a counter beyond the later reading
        (b"2", b"1.5", b"4", False),
        (b"NaN", b"NaN", b"NaN", True),
        (b"NaN", b"0", b"NaN", False),
    ],
)
def test_a_value_lies_between_two_readings(before: bytes, agent: bytes, after: bytes, right: bool) -> None:
    """A counter is between what the peer read before and after it, and a constant is equal."""
    series = b'{d="y"} '
    scrapes = [changed((series + b"2", series + value)) for value in (agent, before, after)]
    assert [one.series for one in values(*scrapes)] == ([] if right else ['node_a_total{d="y"}'])


def test_a_moving_gauge_has_a_tolerance() -> None:
    """A load average may lie a little outside two readings, not far."""
    near, far = changed((b"node_load1 0.1", b"node_load1 0.3")), changed((b"node_load1 0.1", b"node_load1 9"))
    assert values(near, parse(PEER), parse(PEER)) == []
    assert [one.series for one in values(far, parse(PEER), parse(PEER))] == ["node_load1"]


def test_listed_differences_are_allowed_and_must_occur() -> None:
    """A difference needs an entry, an entry needs a difference, and ``when`` excuses an entry from occurring."""
    found = [Found("missing", 'node_a_total{d="y"}'), Found("value", "node_load1")]
    listed = [
        Difference("missing", ("node_a_total{*}",), "it is so"),
        Difference("help", ("node_a_total",), "it was so"),
        Difference("extra", ("node_b",), "it may be so", when="there is a b"),
    ]
    assert unlisted(found, listed) == [found[1]]
    assert stale(found, listed) == [listed[1]]


def test_a_pattern_has_one_special_character() -> None:
    """Brackets and question marks of a series stand for themselves."""
    listed = Difference("missing", ('node_a{d="[x]?*"}',), "why")
    assert listed.covers("missing", 'node_a{d="[x]?yz"}')
    assert not listed.covers("missing", 'node_a{d="xayz"}')
    assert not listed.covers("extra", 'node_a{d="[x]?yz"}')


@pytest.mark.parametrize(
    "text",
    [
        '[[difference]]\nkind = "missing"\nseries = "a"\nreason = " "',
        '[[difference]]\nkind = "lost"\nseries = "a"\nreason = "b"',
        '[[pods]]\nseries = "a"\nreason = "b"',
    ],
)
def test_an_entry_says_what_and_why(tmp_path: Path, text: str) -> None:
    """A list of differences with an entry that has no reason, no known kind or no known place is refused."""
    file = tmp_path / "differences.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"reason|one of|unknown tables"):
        read(file)
