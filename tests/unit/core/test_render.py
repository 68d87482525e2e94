"""The text that scrapers read: against prometheus_client's parsers, which did not write it."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from agent.exposition.render import Renderer, number
from agent.model import Batch, Block, Family, Writer

COUNTER = Family("node_things_total", "counter", "Things.", ("kind",))
BARE = Family("node_intr", "counter", "A counter not named _total.")
UNTYPED = Family("node_vmstat_x", "untyped", "Field x.")
LABELS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.one_of(st.integers(-(2**60), 2**60), st.floats())


def samples(text: str, openmetrics: bool = False) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = parse_openmetrics(text) if openmetrics else parse_text(text)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


@given(st.dictionaries(LABELS, VALUES, min_size=1, max_size=5))
def test_any_labels_and_values_survive_the_text_format(columns: dict[str, float]) -> None:
    """Any label value and any number comes back from prometheus_client's parser as it went in."""
    block = Block(COUNTER, tuple((key,) for key in columns), list(columns.values()))
    got = samples(Renderer().render([block], "text").decode())
    assert len(got) == len(columns)
    for key, value in columns.items():
        assert same(float(got["node_things_total", (("kind", key),)]), float(value))


@given(st.lists(st.lists(VALUES, min_size=2, max_size=2), min_size=2, max_size=6))
def test_remembered_pieces_never_show(rounds: list[list[float]]) -> None:
    """A renderer that has rendered before gives the bytes of one that has not."""
    keys, warm = (("a",), ("b",)), Renderer()
    for values in rounds:
        block = Block(COUNTER, keys, values)
        text = warm.render([block], "text")
        fresh = Renderer().render([block], "text")
        assert samples(text.decode()).keys() == samples(fresh.decode()).keys()
        for a, b in zip(samples(text.decode()).values(), samples(fresh.decode()).values(), strict=True):
            assert same(a, b)


def test_changed_label_sets_are_not_mixed_with_remembered_values() -> None:
    """Equal values under other labels are rendered with those labels."""
    renderer = Renderer()
    renderer.render([Block(COUNTER, (("a",),), [1])], "text")
    assert b'{kind="b"} 1\n' in renderer.render([Block(COUNTER, (("b",),), [1])], "text")
    assert b'{kind="b"} 2\nnode_things_total{kind="c"} 3\n' in renderer.render(
        [Block(COUNTER, (("b",), ("c",)), [2, 3])], "text"
    )


def test_percent_signs_in_labels_are_not_formatting() -> None:
    """A label value with a percent sign stays what it is."""
    text = Renderer().render([Block(COUNTER, (("100 %s",),), [1])], "text")
    assert text.endswith(b'node_things_total{kind="100 %s"} 1\n')


def test_numbers_are_written_as_every_parser_reads_them() -> None:
    """Infinities and NaN have Prometheus' spelling; whole and fractional numbers are exact."""
    assert [number(v) for v in (math.inf, -math.inf, math.nan, 0.1, 7, 2**53 + 1, 10**400, -(10**400))] == [
        "+Inf",
        "-Inf",
        "NaN",
        "0.1",
        "7",
        "9007199254740993",
        "+Inf",
        "-Inf",
    ]


def test_both_formats_carry_the_same_samples_with_their_own_headers() -> None:
    """In OpenMetrics a counter not named _total and an untyped family are unknown; the samples are identical."""
    blocks = [Block(COUNTER, (("a",),), [1]), Block(BARE, ((),), [2]), Block(UNTYPED, ((),), [3.5])]
    text, openmetrics = (Renderer().render(blocks, f).decode() for f in ("text", "openmetrics"))
    assert [line for line in text.splitlines() if line[0] != "#"] == [
        line for line in openmetrics.splitlines() if line[0] != "#"
    ]
    assert samples(openmetrics, openmetrics=True)["node_intr", ()] == 2
    assert "# TYPE node_things_total counter\n" in text
    assert "# TYPE node_things counter\n" in openmetrics
    assert "# TYPE node_intr unknown\n" in openmetrics
    assert "# TYPE node_vmstat_x unknown\n" in openmetrics
    assert openmetrics.endswith("# EOF\n")


def test_histograms_are_cumulative_and_end_with_infinity() -> None:
    """Buckets given singly come out cumulated, with le, _sum and _count, in both formats."""
    family = Family("headroom_wait_seconds", "histogram", "Waits.", ("path",))
    out = Writer()
    out.histograms(family, (0.1, 1.0), [(("/x",), [2, 1, 1], 3.5)])
    for format in ("text", "openmetrics"):
        got = samples(Renderer().render(out.blocks, format).decode(), format == "openmetrics")
        path = ("path", "/x")
        assert got["headroom_wait_seconds_bucket", (("le", "0.1"), path)] == 2
        assert got["headroom_wait_seconds_bucket", (("le", "1.0"), path)] == 3
        assert got["headroom_wait_seconds_bucket", (("le", "+Inf"), path)] == 4
        assert got["headroom_wait_seconds_count", (path,)] == 4
        assert got["headroom_wait_seconds_sum", (path,)] == 3.5


def test_help_text_is_escaped() -> None:
    """A line break or backslash in HELP does not end the line."""
    family = Family("x", "gauge", 'one\ntwo \\ "three"')
    block = Block(family, ((),), [1])
    assert b'# HELP x one\\ntwo \\\\ "three"\n' in Renderer().render([block], "text")
    assert b'# HELP x one\\ntwo \\\\ \\"three\\"\n' in Renderer().render([block], "openmetrics")


def test_a_batch_serves_its_parts() -> None:
    """The parts of a batch are disjoint and together the whole."""
    names = ("node_a", "container_a", "headroom_a", "process_a", "machine_a")
    blocks = tuple(Block(Family(name, "gauge", "."), ((),), [1]) for name in names)
    batch = Batch(blocks, 0.0, 0.0, frozenset())
    parts = {part: [block.family.name for block in batch.part(part)] for part in ("node", "cadvisor", "headroom")}
    assert parts == {
        "node": ["node_a", "process_a"],
        "cadvisor": ["container_a", "machine_a"],
        "headroom": ["headroom_a"],
    }


def test_a_number_beyond_a_double_costs_nobody_else() -> None:
    """An absurd integer from a broken file is infinite; the scrape goes on."""
    text = Renderer().render([Block(COUNTER, (("a",), ("b",)), [10**400, 1])], "text")
    assert text.endswith(b'{kind="a"} +Inf\nnode_things_total{kind="b"} 1\n')


def test_half_a_character_costs_itself() -> None:
    """A label that is no text is told with a mark in its place, and everything else as ever."""
    family = Family("m", "gauge", "Help.", ("name",))
    page = Renderer().render([Block(family, (("a\udcff",), ("b",)), (1, 2))], "text")
    assert page.endswith(b'm{name="a?"} 1\nm{name="b"} 2\n')
