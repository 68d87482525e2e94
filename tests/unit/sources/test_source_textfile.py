"""``*.prom`` files."""

from __future__ import annotations

import subprocess
import sys
from math import inf, isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Malformed
from agent.sources.textfile import TextFamily, TextSeries, bound_text, parse_textfile


def parse(text: str) -> dict[str, TextFamily]:
    return {family.name: family for family in parse_textfile(text.encode(), "x.prom")}


def one(text: str) -> TextFamily:
    (family,) = parse(text).values()
    return family


def test_a_family_has_type_help_and_samples() -> None:
    """In the order of the file; whole numbers stay whole."""
    family = one('# HELP m It\\\\is\\nso.\n# TYPE m gauge\nm{a="x y",b="\\"\\\\\\n"} 1\nm 2.5\n')
    assert family == TextFamily(
        "m",
        "gauge",
        "It\\is\nso.",
        [TextSeries({"a": "x y", "b": '"\\\n'}, [("", "", 1)]), TextSeries({}, [("", "", 2.5)])],
    )
    assert type(family.series[0].slots[0][2]) is int


def test_a_sample_without_type_and_help_is_untyped() -> None:
    """And nobody said what it is."""
    assert one("m 1\n") == TextFamily("m", "untyped", None, [TextSeries({}, [("", "", 1)])])


def test_a_counter_keeps_its_name() -> None:
    """With ``_total`` or without."""
    families = parse("# TYPE a counter\na 1\n# TYPE b_total counter\nb_total 2\n")
    assert [(f.name, f.type, f.series[0].slots[0][2]) for f in families.values()] == [
        ("a", "counter", 1),
        ("b_total", "counter", 2),
    ]


def test_samples_of_a_family_need_not_be_together() -> None:
    """Its lines are one family wherever they are."""
    families = parse('# TYPE a gauge\na{x="1"} 1\nb 2\na{x="2"} 3\n')
    assert [series.labels["x"] for series in families["a"].series] == ["1", "2"]


def test_a_histogram_is_slots_by_label_set() -> None:
    """Buckets ascend as Go writes them; one that ends without +Inf gets it from its count."""
    family = one(
        '# TYPE h histogram\nh_bucket{le="1e6",z="a"} 3\nh_bucket{le="0.50",z="a"} 1\nh_count{z="a"} 4\n'
        'h_sum{z="a"} 12.5\nh_bucket{le="+Inf"} 7\n'
    )
    assert family.series == [
        TextSeries(
            {"z": "a"},
            [
                ("_bucket", "0.5", 1),
                ("_bucket", "1e+06", 3),
                ("_bucket", "+Inf", 4),
                ("_sum", "", 12.5),
                ("_count", "", 4),
            ],
        ),
        TextSeries({}, [("_bucket", "+Inf", 7), ("_sum", "", 0), ("_count", "", 0)]),
    ]


def test_a_summary_is_slots_too() -> None:
    """Quantiles carry the family's own name; a value may be NaN."""
    family = one('# TYPE s summary\ns{quantile="0.99"} NaN\ns{quantile="0.5"} 1\ns_sum 10\ns_count 3\n')
    ((_, slots),) = family.series
    assert [(suffix, bound) for suffix, bound, _ in slots] == [
        ("", "0.5"),
        ("", "0.99"),
        ("_sum", ""),
        ("_count", ""),
    ]
    assert isnan(slots[1][2])


def test_suffixes_belong_to_a_family_only_when_it_is_declared() -> None:
    """``m_count`` of a gauge is a metric of its own."""
    assert list(parse("# TYPE m gauge\nm 1\nm_count 2\nm_sum 3\nm_bucket 4\n")) == ["m", "m_count", "m_sum", "m_bucket"]


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("m 1", "does not end"),
        ("# TYPE m gauge\n# partial", "does not end"),
        ("m 1 1700000000000\n", "timestamp"),
        ("m{ 1\n", "line 1"),
        ('m{a="1",a="2"} 1\n', "line 1"),
        ('m{a="1} 1\n', "line 1"),
        ('m{__a="1"} 1\n', "line 1"),
        ('m{ä="1"} 1\n', "expected"),
        ('m{,a="1"} 1\n', "expected"),
        ("m{a=} 1\n", "expected"),
        ('m{a="\\x"} 1\n', "expected"),
        ("m 1 \n", "expected"),
        ("m \u0661\n", "expected"),
        ("m 1e400\n", "out of range"),
        ("m one\n", "line 1"),
        ("m 1 noon\n", "line 1"),
        ("m\n", "expected"),
        ("nan\n", "expected"),
        ("m 1\r\n", "expected"),
        ("m 1_000\n", "line 1"),
        (f"m {'9' * 400}\n", "line 1"),
        ("# TYPE m gauge\n# TYPE m gauge\nm 1\n", "second TYPE"),
        ("m 1\n# TYPE m gauge\n", "second TYPE"),
        ("# HELP m a\n# HELP m b\nm 1\n", "second HELP"),
        ("# HELP m bad \\t escape\nm 1\n", "escape"),
        ("# TYPE m thing\nm 1\n", "not a type"),
        ("# TYPE m gauge \nm 1\n", "not a type"),
        ("# TYPE 1m gauge\n", "not a name"),
        ('# TYPE h histogram\nh_bucket{le="many"} 1\n', "line 2"),
        ("# TYPE h histogram\nh_count NaN\n", "line 2"),
        ("ok 1\nm x\n", "line 2"),
    ],
)
def test_what_go_refuses_is_malformed(text: str, detail: str) -> None:
    """A file is whole or does not count, and the error says where it went wrong."""
    with pytest.raises(Malformed, match=detail) as caught:
        parse(text)
    assert caught.value.path == "x.prom"


def test_text_that_is_not_utf8_is_malformed() -> None:
    """The first such byte is named."""
    with pytest.raises(Malformed, match="byte 3"):
        parse_textfile(b"# \xc3\xff\n"[:2] + b"a\xff\n", "x.prom")


def test_comments_and_empty_lines_say_nothing() -> None:
    """Nor does a family of which there is no sample, nor an empty file."""
    assert parse("\n# just so\n#\n  \n# HELP\n# TYPE m\n# HELP m\n# HELP n text\n# TYPE o gauge\n") == {}
    assert parse("") == {}


@pytest.mark.parametrize(
    ("bound", "text"),
    [
        (1.0, "1"),
        (0.25, "0.25"),
        (100000.0, "100000"),
        (1e6, "1e+06"),
        (2500000.0, "2.5e+06"),
        (123456789.0, "1.23456789e+08"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (inf, "+Inf"),
        (-inf, "-Inf"),
        (-2.5, "-2.5"),
    ],
)
def test_bounds_are_written_as_go_writes_them(bound: float, text: str) -> None:
    """So that a series is the same whoever exposes it."""
    assert bound_text(bound) == text


@given(st.floats(allow_nan=False))
def test_a_written_bound_is_the_same_number(bound: float) -> None:
    """Nothing is rounded away."""
    assert float(bound_text(bound)) == bound


PIECES = [
    "m",
    " ",
    "1",
    "\n",
    "{",
    "}",
    '"',
    'a="b"',
    ",",
    "# TYPE m ",
    "histogram",
    "# HELP m x",
    "_sum",
    "\\",
    "nan",
    "é",
]


@given(st.text() | st.lists(st.sampled_from(PIECES)).map("".join))
def test_any_text_gives_families_or_malformed(text: str) -> None:
    """Nothing else is raised; what is given has samples."""
    try:
        families = parse(text + "\n")
    except Malformed:
        return
    assert all(series.slots for family in families.values() for series in family.series)


@given(st.binary())
def test_any_bytes_give_families_or_malformed(buf: bytes) -> None:
    """Also those that are no text."""
    try:
        parse_textfile(buf, "x.prom")
    except Malformed:
        return


def test_prometheus_client_loads_with_the_first_sample() -> None:
    """It costs 9 MiB: not before."""
    program = (
        "import sys; from agent.sources.textfile import parse_textfile;"
        "parse_textfile(b'# TYPE m gauge\\n', 'x'); print('prometheus_client' in sys.modules);"
        "parse_textfile(b'm 1\\n', 'x'); print('prometheus_client' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "True"]
