"""The value of a threshold or of a minimum reclaim: so much, or a share of the capacity. Pure.

A percentage is the kubelet's float32 of it, and its product with the capacity is cut off, not rounded: ``10%`` of
1020702720 bytes is 102070273. The facts are those of pkg/kubelet/eviction/helpers.go and eviction/api/types.go.
"""

from __future__ import annotations

import math
import re
import struct
from typing import Final, NamedTuple

from agent.errors import Malformed
from agent.sources.kubelet.quantity import parse_quantity

_IGNORED: Final = ("0%", "100%")
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


class Amount(NamedTuple):
    """One of the two: so much, in the signal's unit, or a share of the capacity (0.1 is 10 %, as a float32)."""

    quantity: int | None
    percentage: float | None

    def quantity_of(self, capacity: int) -> int:
        """In the signal's unit."""
        if self.quantity is not None:
            return self.quantity
        return int(float(capacity) * (self.percentage or 0.0))


def parse_limit(text: str) -> Amount | None:
    """A threshold's value; None for 0% and 100%, which switch it off. Raises Malformed."""
    if text in _IGNORED:
        return None
    amount = _amount(text)
    if amount.percentage is not None and not 0 <= amount.percentage <= 1:
        raise Malformed("threshold", "between 0% and 100% expected", text)
    if amount.quantity is not None and amount.quantity <= 0:
        raise Malformed("threshold", "more than 0 expected", text)
    return amount


def parse_reclaim(text: str) -> Amount:
    """A minimum reclaim's value; a percentage is of the capacity. Raises Malformed."""
    amount = _amount(text)
    if amount.percentage is not None and not amount.percentage > 0:
        raise Malformed("minimum reclaim", "more than 0% expected", text)
    if amount.quantity is not None and amount.quantity < 0:
        raise Malformed("minimum reclaim", "a negative one", text)
    return amount


def _amount(text: str) -> Amount:
    if text.endswith("%"):
        return Amount(None, parse_percentage(text))
    return Amount(_whole(parse_quantity(text)), None)


def _whole(quantity: int | float) -> int:
    """What is left is whole, so a fraction is met as the next whole is; a negative one must not become 0."""
    return math.ceil(quantity) if quantity >= 0 else math.floor(quantity)


def parse_percentage(text: str) -> float:
    """``10%`` is 0.10000000149011612: the kubelet keeps a float32, and divides it by 100 as one. Raises Malformed."""
    number = text.rstrip("%")
    if not _NUMBER.fullmatch(number):
        raise Malformed("percentage", "such as 10% expected", text)
    value = float32(float(number))
    if math.isinf(value):
        raise Malformed("percentage", "too large", text)
    return float32(value / 100)


def float32(value: float) -> float:
    """The nearest number that a C float holds; an infinity for what is too large for one."""
    nearest: float = struct.unpack("f", struct.pack("f", value))[0]
    return nearest
