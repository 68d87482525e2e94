"""Kubernetes quantities (``100m``, ``1Gi``, ``1e3``, ``0.5``) as numbers, exactly as Kubernetes reads them.

Shape: a decimal number with a binary suffix (Ki .. Ei), a decimal one (n u m k M G T P E) or an exponent.
Rounded up to the next nano as Kubernetes does; a binary one is at most 2**63 - 1. A decimal one may be of any size, and
whoever makes a pod may write one: here it is at most 1e308.
"""

from __future__ import annotations

import re
from typing import Final

from agent.errors import Malformed
from agent.sources.kubelet.document import Json, field_object

_QUANTITY: Final = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?([numkMGTPE]|[KMGTPE]i|[eE][+-]?\d{1,10})?", re.ASCII)
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_NANO: Final = 9
_DIGITS_MAX: Final = 400  # more than any float has
_LARGEST_POWER: Final = 308
_VANISHING: Final = -20  # a power of ten so small that no binary suffix makes a nano of it
INT64_MAX: Final = (1 << 63) - 1


def parse_quantity(text: str) -> int | float:
    """A whole number as an int, which is exact; else the nearest float. Raises Malformed."""
    match = _QUANTITY.fullmatch(text)
    if match is None or not text:
        raise Malformed("quantity", "such as 100m or 1Gi expected", text)
    sign, whole, fraction, suffix = match[1], match[2], match[3] or "", match[4] or ""
    nanos = _nanos((whole + fraction).lstrip("0"), len(fraction), suffix)
    value, rest = divmod(nanos, 10**_NANO)
    number: int | float = value if not rest else nanos / 10**_NANO
    return -number if sign == "-" else number


def _nanos(digits: str, decimals: int, suffix: str) -> int:
    """The absolute value in nanos, rounded away from zero: who wants a little of a resource gets some."""
    binary = _BINARY.get(suffix, 0)
    exponent = int(suffix[1:]) if suffix not in _DECIMAL and not binary else _DECIMAL.get(suffix, 0)
    power = exponent - decimals + _NANO
    if not digits:
        return 0
    if len(digits) + power < _VANISHING:
        return 1
    if len(digits) + power - _NANO > _LARGEST_POWER:
        return (INT64_MAX if binary else 10**_LARGEST_POWER) * 10**_NANO
    rest = digits[_DIGITS_MAX:]
    power += len(rest)
    scale: int = 10 ** abs(power)
    number = int(digits[:_DIGITS_MAX]) + bool(rest.strip("0")) << binary
    nanos = number * scale if power >= 0 else -(-number // scale)
    return min(nanos, INT64_MAX * 10**_NANO) if binary else nanos


def field_quantities(owner: Json, name: str) -> dict[str, float]:
    """A resource list: cpu in cores, memory and ephemeral-storage in bytes. What is absent stays absent."""
    quantities: dict[str, float] = {}
    for resource, given in field_object(owner, name).items():
        if not isinstance(given, str):
            raise Malformed(name, "a quantity expected", repr(given))
        quantities[resource] = parse_quantity(given)
    return quantities
