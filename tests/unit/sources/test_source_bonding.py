"""``/sys/class/net/bonding_masters`` and below."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Gone, Malformed
from agent.sources.bonding import Bond, parse_mii_status, parse_names, read_bonds
from agent.sources.host import Host

NET = "sys/class/net"


def test_names_are_separated_by_blanks() -> None:
    """What did not fit the page is no name."""
    assert parse_names(b"bond0 bond1 \n") == ["bond0", "bond1"]
    assert parse_names(b"\n") == []
    assert parse_names(b"eth0 ++more++ ") == ["eth0"]


@given(st.binary())
def test_any_bytes_give_names_or_malformed(buf: bytes) -> None:
    """No other exception escapes, and no name leads out of its directory."""
    try:
        assert not any("/" in name or "\0" in name for name in parse_names(buf))
    except Malformed:
        pass
    assert isinstance(parse_mii_status(buf), str)


def test_a_bond_has_the_state_of_each_slave(make_host: Callable[..., Host]) -> None:
    """By either name of the link to the slave."""
    host = make_host(
        {
            f"{NET}/bonding_masters": "bond0 bond1\n",
            f"{NET}/bond0/bonding/slaves": "eth0 eth1\n",
            f"{NET}/bond0/lower_eth0/bonding_slave/mii_status": "up\n",
            f"{NET}/bond0/slave_eth1/bonding_slave/mii_status": "going down\n",
            f"{NET}/bond1/bonding/slaves": "\n",
        }
    )
    assert read_bonds(host.sysfs) == [Bond("bond0", {"eth0": "up", "eth1": "going down"}), Bond("bond1", {})]


def test_what_vanishes_meanwhile_is_left_out(make_host: Callable[..., Host]) -> None:
    """A master of which only the name is left, and such a slave."""
    host = make_host(
        {
            f"{NET}/bonding_masters": "bond0 bond1\n",
            f"{NET}/bond1/bonding/slaves": "eth0 eth1\n",
            f"{NET}/bond1/lower_eth1/bonding_slave/mii_status": "down\n",
        }
    )
    assert read_bonds(host.sysfs) == [Bond("bond1", {"eth1": "down"})]


def test_garbage_is_malformed(make_host: Callable[..., Host]) -> None:
    """A name that leads elsewhere is not followed."""
    with pytest.raises(Malformed, match="bonding"):
        read_bonds(make_host({f"{NET}/bonding_masters": "../../proc\n"}).sysfs)


def test_without_the_module_it_is_gone(make_host: Callable[..., Host]) -> None:
    """An empty list would say that there are none now."""
    with pytest.raises(Gone):
        read_bonds(make_host({}).sysfs)
