"""``/proc/net/arp``."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Gone, Malformed
from agent.sources.arp import parse_arp, read_arp
from agent.sources.host import Host

TITLES = b"IP address       HW type     Flags       HW address            Mask     Device\n"
ARP = (
    TITLES
    + b"""\
192.0.2.9        0x1         0x2         02:fc:00:00:00:05     *        eth1
192.0.2.1        0x1         0x2         02:fc:00:00:00:05     *        eth0
192.0.2.2        0x1         0x0         00:00:00:00:00:00     *        eth0
192.0.2.3        0x1         0x6         02:fc:00:00:00:07     *        eth0
192.0.2.7        0x1         0xc         00:00:00:00:00:00     *        eth0
192.0.2.8        0x1         0xc         00:00:00:00:00:00     *        *
"""
)


def test_entries_are_counted_by_device() -> None:
    """Complete, incomplete and permanent ones; not the addresses that the node answers for as a proxy. Sorted."""
    assert list(parse_arp(ARP).items()) == [("eth0", 3), ("eth1", 1)]


def test_no_entries_is_an_empty_dict() -> None:
    """The titles alone."""
    assert parse_arp(TITLES) == {}


def test_a_hardware_address_may_be_blank() -> None:
    """A device whose addresses have no length."""
    assert parse_arp(TITLES + b"192.0.2.1        0x30a       0x2                               *        gre1\n") == {
        "gre1": 1
    }


def test_a_name_is_any_bytes() -> None:
    """It comes back as Python spells such file names."""
    assert parse_arp(ARP.replace(b"eth1", b"e\xffh1"))["e\udcffh1"] == 1


@pytest.mark.parametrize(
    "buf",
    [
        b"",
        ARP[:-1],
        ARP[:-30] + b"\n",
        ARP.split(b"\n", 1)[1],
        TITLES + b"\n",
        TITLES + b"192.0.2.1 0x1 flags 02:fc:00:00:00:05 * eth0\n",
    ],
)
def test_what_is_not_arp_is_malformed(buf: bytes) -> None:
    """Empty, cut, without titles, an empty line, no number."""
    with pytest.raises(Malformed, match="net/arp"):
        parse_arp(buf)


@given(
    st.binary()
    | st.builds(
        lambda at, junk, gone: ARP[:at] + junk + ARP[at + gone :],
        st.integers(0, len(ARP)),
        st.binary(max_size=8),
        st.integers(0, 100),
    )
)
def test_any_bytes_give_counts_or_malformed(buf: bytes) -> None:
    """No other exception escapes."""
    try:
        assert all(count > 0 for count in parse_arp(buf).values())
    except Malformed:
        pass


def test_it_is_read_below_procfs(make_host: Callable[..., Host]) -> None:
    """And is gone without the file."""
    host = make_host({"proc/1/net/arp": ARP})
    assert read_arp(host.procfs, host.net("arp")) == {"eth0": 3, "eth1": 1}
    with pytest.raises(Gone):
        read_arp(host.procfs, "net/arp")
