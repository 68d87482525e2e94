"""Integers that stand for values."""

from __future__ import annotations

import pytest
from hypothesis import given

from agent.errors import ProtocolError
from agent.wire.scales import BITS, INTEGER, MOST, UNSIGNED, byte_of, integer_of, scale_of, value_of
from tests.unit.wire.batches import VALUES, bits


@given(VALUES)
def test_every_value_has_a_scale_at_which_an_integer_of_64_bits_stands_for_it(value: float) -> None:
    """To the last bit, and of the same type."""
    scale = scale_of(value)
    number = integer_of(value, scale)
    assert number is not None
    assert -(2**63) <= number < 2**63
    assert bits(value_of(number, scale)) == bits(value)


@pytest.mark.parametrize(
    ("value", "scale"),
    [
        (7, INTEGER),
        (7.0, 0),
        (0.25, 2),
        (1e-7, 7),
        (1 / 3, BITS),
        (-0.0, BITS),
        (float("nan"), BITS),
        (2**63, UNSIGNED),
    ],
)
def test_a_scale_is_how_many_decimals_a_value_is_written_with(value: float, scale: int) -> None:
    """What cannot be written shortly goes by its bits."""
    assert scale_of(value) == scale


@pytest.mark.parametrize(
    ("value", "scale"),
    [(0.25, 1), (0.25, INTEGER), (7, 0), (-0.0, 0), (float("inf"), 3), (2**63, INTEGER), (-1, UNSIGNED), (1, BITS)],
)
def test_a_value_has_no_integer_at_a_scale_that_does_not_fit(value: float, scale: int) -> None:
    """So nothing is ever rounded, and no int becomes a double while it has 64 bits."""
    assert integer_of(value, scale) is None


def test_a_finer_scale_fits_too() -> None:
    """A slot keeps the finest scale that it needed."""
    assert integer_of(0.25, 3) == 250
    assert bits(value_of(250, 3)) == bits(0.25)


@pytest.mark.parametrize("scale", [UNSIGNED - 1, MOST + 1, 2**31 - 1, -(2**31)])
def test_a_scale_that_is_none(scale: int) -> None:
    """It comes from the other end."""
    with pytest.raises(ProtocolError):
        byte_of(scale)
