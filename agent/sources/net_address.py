"""An address of a network device: its canonical text, how long its prefix is, how far it reaches.

Source: getifaddrs(3), see ``Calls.network_addresses``. Errors: Malformed. Cost: 2 us.
"""

from __future__ import annotations

import socket
from typing import Final, NamedTuple

from agent.errors import Malformed

_LOOPBACK6: Final = socket.inet_pton(socket.AF_INET6, "::1")
_NOT_UNICAST4: Final = (b"\0\0\0\0", b"\xff\xff\xff\xff")


class Address(NamedTuple):
    """``scope`` is ``link-local`` (loopback included), ``interface-local``, ``global`` (private included) or empty."""

    text: str
    prefix_bits: int
    scope: str


def parse_address(address: str, netmask: str) -> Address:
    """Shape: ``fe80::1%eth0`` and ``ffff:ffff:ffff:ffff::``; ``192.0.2.1`` and ``255.255.255.0``."""
    text = address.partition("%")[0]
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        packed, mask = socket.inet_pton(family, text), socket.inet_pton(family, netmask)
    except (OSError, ValueError):
        raise Malformed("getifaddrs(3)", "an address and a mask expected", f"{address} {netmask}") from None
    scope = _scope6(packed) if family == socket.AF_INET6 else _scope4(packed)
    return Address(socket.inet_ntop(family, packed), int.from_bytes(mask, "big").bit_count(), scope)


def _scope4(packed: bytes) -> str:
    if packed[0] == 127 or packed.startswith((b"\xa9\xfe", b"\xe0\0\0")):
        return "link-local"
    multicast = packed[0] & 0xF0 == 0xE0
    return "" if multicast or packed in _NOT_UNICAST4 else "global"


def _scope6(packed: bytes) -> str:
    if packed[0] == 0xFF:
        return {1: "interface-local", 2: "link-local"}.get(packed[1] & 0x0F, "")
    if packed == _LOOPBACK6 or (packed[0] == 0xFE and packed[1] & 0xC0 == 0x80):
        return "link-local"
    return "global" if any(packed) else ""
