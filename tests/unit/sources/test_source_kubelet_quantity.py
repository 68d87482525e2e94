"""Kubernetes quantities."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Malformed
from agent.sources.kubelet.quantity import INT64_MAX, field_quantities, parse_quantity

SUFFIXES = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    **{name: Fraction(1000**power) for power, name in enumerate("kMGTPE", 1)},
    **{f"{name}i": Fraction(1024**power) for power, name in enumerate("KMGTPE", 1)},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("2", 2),
        ("100m", 0.1),
        ("0.5", 0.5),
        ("1Gi", 1 << 30),
        ("500Ki", 512000),
        ("1k", 1000),
        ("1e3", 1000),
        ("1E3", 1000),
        ("1E", 10**18),
        ("1E-3", 0.001),
        ("1.3E+6", 1_300_000),
        ("0.5Mi", 1 << 19),
        ("100.035Ki", 102435.84),
        ("0.025Ti", 27487790694.4),
        ("+1", 1),
        ("-1.5", -1.5),
        (".001", 0.001),
        ("1.", 1),
        ("1.G", 10**9),
        ("3.001n", 4e-9),
        ("1.1E-9", 2e-9),
        ("0.0000000001", 1e-9),
        ("0.00000012345", 124e-9),
        ("0.000000000001Ki", 2e-9),
        ("1e-999999", 1e-9),
        ("9Ei", INT64_MAX),
        ("9223372036854775807Ki", INT64_MAX),
        ("9223372036854775807", INT64_MAX),
        ("12E", 12 * 10**18),
    ],
)
def test_quantities_are_read_as_kubernetes_reads_them(text: str, value: float) -> None:
    """Suffixes, exponents, rounding up to a nano and the cap of binary ones; whole numbers are exact."""
    parsed = parse_quantity(text)
    assert parsed == value
    assert type(parsed) is (int if value == int(value) else float)


@pytest.mark.parametrize(
    "text", ["", " 1", "1 ", "1.1.M", "1+1.0M", "0.1mi", "0.1am", "aoeu", ".5i", "1i", "-3.01i", "-3.01e-", "1e", "1K"]
    + ["\u0661", "1e99999999999", "1_0", "0x1", "nan", "inf", "1\n"]
)  # fmt: skip
def test_what_kubernetes_refuses_is_malformed(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(Malformed):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e309", 10**308),
        ("-1e309", -(10**308)),
        ("10e399", 10**308),
        ("1e2147483647", 10**308),
        ("9" * 500, 10**308),
        ("9" * 5000 + "k", 10**308),
        ("9" * 5000 + "Ki", INT64_MAX),
        ("1e308", 10**308),
        ("9e307", 9 * 10**307),
        ("0" * 5000 + "1", 1),
        ("0." + "0" * 5000 + "1", 1e-9),
        ("0." + "0" * 5000 + "1Ki", 1e-9),
        ("1." + "0" * 5000 + "1n", 2e-9),
        ("0." + "9" * 5000, 1),
        ("1e-2147483647", 1e-9),
        ("0e2147483647", 0),
    ],
    ids=lambda shown: str(shown)[:16],
)
def test_what_no_float_holds_is_bounded(text: str, value: float) -> None:
    """Kubernetes takes a number of any size, and anybody's pod may have one."""
    assert parse_quantity(text) == value


@given(
    st.sampled_from(["", "+", "-"]),
    st.integers(0, 10**24),
    st.text("0123456789", max_size=14),
    st.sampled_from(sorted(SUFFIXES)) | st.integers(-30, 30).map(lambda power: f"e{power}"),
)
def test_every_quantity_is_its_exact_value(sign: str, whole: int, decimals: str, suffix: str) -> None:
    """The same as rational arithmetic: rounded up to nanos, capped where binary, and only then made a float."""
    factor = SUFFIXES[suffix] if suffix in SUFFIXES else Fraction(10) ** int(suffix[1:])
    exact = Fraction(int(f"{whole}{decimals}"), 10 ** len(decimals)) * factor
    nanos = Fraction(ceil(exact * 10**9), 10**9)
    expected = min(nanos, Fraction(INT64_MAX)) if suffix.endswith("i") else nanos
    expected = -expected if sign == "-" else expected
    parsed = parse_quantity(f"{sign}{whole}.{decimals}{suffix}" if decimals else f"{sign}{whole}{suffix}")
    assert parsed == (int(expected) if expected.denominator == 1 else float(expected))


@given(st.text("0123456789.eE+-numkKMGTPi ", max_size=20) | st.text())
def test_any_text_is_a_number_or_malformed(text: str) -> None:
    """A finite one."""
    try:
        assert -1e309 < parse_quantity(text) < 1e309
    except Malformed:
        pass


def test_a_resource_list_has_what_was_named() -> None:
    """An absent resource is not 0."""
    assert field_quantities({"requests": {"cpu": "100m", "memory": "0"}}, "requests") == {"cpu": 0.1, "memory": 0}
    assert field_quantities({}, "requests") == {}
    with pytest.raises(Malformed, match="a quantity expected"):
        field_quantities({"requests": {"cpu": 1}}, "requests")
