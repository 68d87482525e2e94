"""Addresses of network devices."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Malformed
from agent.sources.net_address import Address, parse_address


@pytest.mark.parametrize(
    ("address", "netmask", "expected"),
    [
        ("192.0.2.1", "255.255.255.0", Address("192.0.2.1", 24, "global")),
        ("10.1.2.3", "255.255.255.255", Address("10.1.2.3", 32, "global")),
        ("127.0.0.1", "255.0.0.0", Address("127.0.0.1", 8, "link-local")),
        ("169.254.7.7", "255.255.0.0", Address("169.254.7.7", 16, "link-local")),
        ("224.0.0.5", "255.255.255.0", Address("224.0.0.5", 24, "link-local")),
        ("239.1.1.1", "255.255.255.0", Address("239.1.1.1", 24, "")),
        ("0.0.0.0", "0.0.0.0", Address("0.0.0.0", 0, "")),
        ("255.255.255.255", "255.255.255.255", Address("255.255.255.255", 32, "")),
        ("::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Address("::1", 128, "link-local")),
        ("fe80::1%eth0", "ffff:ffff:ffff:ffff::", Address("fe80::1", 64, "link-local")),
        ("2001:DB8:0:0::7", "ffff:ffff:ffff::", Address("2001:db8::7", 48, "global")),
        ("fd00::1", "ffff::", Address("fd00::1", 16, "global")),
        ("ff01::1", "ffff::", Address("ff01::1", 16, "interface-local")),
        ("ff12::1", "ffff::", Address("ff12::1", 16, "link-local")),
        ("ff05::1", "ffff::", Address("ff05::1", 16, "")),
        ("::", "::", Address("::", 0, "")),
    ],
)
def test_an_address_has_text_prefix_and_scope(address: str, netmask: str, expected: Address) -> None:
    """Loopback counts as link-local and private as global, as node_exporter has it."""
    assert parse_address(address, netmask) == expected


@pytest.mark.parametrize(
    ("address", "netmask"), [("", ""), ("192.0.2.1", "ffff::"), ("fe80::1", "255.0.0.0"), ("a\0b", "255.0.0.0")]
)
def test_what_is_no_address_is_malformed(address: str, netmask: str) -> None:
    """Empty, a mask of the other family, garbage."""
    with pytest.raises(Malformed):
        parse_address(address, netmask)


@given(st.text(), st.text())
def test_any_texts_give_an_address_or_malformed(address: str, netmask: str) -> None:
    """No other exception escapes."""
    try:
        assert 0 <= parse_address(address, netmask).prefix_bits <= 128
    except Malformed:
        pass


@given(st.ip_addresses(), st.integers(0, 32))
def test_text_and_prefix_read_back(address: ipaddress.IPv4Address | ipaddress.IPv6Address, bits: int) -> None:
    """Whatever the address."""
    netmask = str(ipaddress.ip_network((0 if address.version == 4 else b"\0" * 16, bits)).netmask)
    parsed = parse_address(str(address), netmask)
    assert (ipaddress.ip_address(parsed.text), parsed.prefix_bits) == (address, bits)
