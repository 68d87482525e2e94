"""Which integer of 64 bits stands for a value, and back: exact to the last bit for every double.

A scale from 0 to 22 is of doubles that are short decimal numbers: the integer n stands for n / 10^scale, which both
ends compute alike. An int of more than 64 bits goes as the double that every reader would make of it.
"""

from __future__ import annotations

import struct
from typing import Final

from agent.errors import ProtocolError
from agent.model import Value

INTEGER: Final = -1
BITS: Final = -2  # of a double that is no short decimal number
UNSIGNED: Final = -3  # n + 2^63
LEAST: Final = UNSIGNED
MOST: Final = 22  # 10^22 is the largest power of ten that is a double
DECIMALS_MAX: Final = 15  # a double with more digits after the point seldom has fewer than 17 in all
INT64: Final = 1 << 63
_double: Final = struct.Struct("<d")
_signed: Final = struct.Struct("<q")


def bits_of(value: float) -> int:
    number: int = _signed.unpack(_double.pack(value))[0]
    return number


def integer_of(value: Value, scale: int) -> int | None:
    """The integer that stands for exactly this value at that scale, if there is one."""
    if isinstance(value, float):
        if scale < 0:
            return bits_of(value) if scale == BITS else None
        try:
            number = round(value * 10.0**scale)
        except (ValueError, OverflowError):  # NaN, infinity
            return None
        exact = bits_of(number / 10.0**scale) == bits_of(value)
        return number if exact and -INT64 <= number < INT64 else None
    if scale == BITS:
        return bits_of(_nearest(value)) if scale_of(value) == BITS else None
    number = value if scale == INTEGER else value - INT64
    return number if scale in (INTEGER, UNSIGNED) and -INT64 <= number < INT64 else None


def scale_of(value: Value) -> int:
    """The one that fits: for a double, how many decimals it is written with."""
    if isinstance(value, int):
        return INTEGER if -INT64 <= value < INT64 else UNSIGNED if 0 <= value < 2 * INT64 else BITS
    digits, _, exponent = repr(value).partition("e")
    fraction = digits.partition(".")[2]
    scale = max(0, len(fraction if fraction != "0" else "") - int(exponent or 0))
    return scale if scale <= DECIMALS_MAX and integer_of(value, scale) is not None else BITS


def value_of(number: int, scale: int) -> Value:
    if scale >= 0:
        return number / 10.0**scale
    if scale == BITS:
        value: float = _double.unpack(_signed.pack(number))[0]
        return value
    return number if scale == INTEGER else number + INT64


def _nearest(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def byte_of(scale: int) -> int:
    """A scale as a byte: by so much more than LEAST. Raises ProtocolError."""
    if not LEAST <= scale <= MOST:
        raise ProtocolError(f"scale {scale} is none")
    return scale - LEAST
