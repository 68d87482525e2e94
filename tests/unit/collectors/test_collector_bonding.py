"""The bonding collector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.collectors.bonding import Bonding
from agent.errors import Absent
from agent.model import Writer
from agent.sources.host import Host

NET = "sys/class/net"
FILES = {
    f"{NET}/bonding_masters": "bond0 bond1\n",
    f"{NET}/bond0/bonding/slaves": "eth0 eth1 eth2\n",
    f"{NET}/bond0/lower_eth0/bonding_slave/mii_status": "up\n",
    f"{NET}/bond0/lower_eth1/bonding_slave/mii_status": "going back\n",
    f"{NET}/bond0/slave_eth2/bonding_slave/mii_status": "up\n",
    f"{NET}/bond1/bonding/slaves": "\n",
}


def test_slaves_are_counted_and_those_that_are_up(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """A bond without slaves has 0 of both."""
    assert collect(Bonding(make_host(FILES), {})) == {
        'node_bonding_slaves{master="bond0"}': 3,
        'node_bonding_active{master="bond0"}': 2,
        'node_bonding_slaves{master="bond1"}': 0,
        'node_bonding_active{master="bond1"}': 0,
    }


def test_a_module_without_bonds_is_no_series(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """And no error: the node has the module but no bond now."""
    assert collect(Bonding(make_host({f"{NET}/bonding_masters": "\n"}), {})) == {}


def test_a_node_without_bonding_has_no_such_thing(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """It is no error."""
    with pytest.raises(Absent, match="bonding_masters"):
        collect(Bonding(make_host({}), {}))


def test_keys_are_the_same_object_while_the_bonds_are(make_host: Callable[..., Host]) -> None:
    """At every collection."""
    collector = Bonding(make_host(FILES), {})
    first, second = Writer(), Writer()
    collector.collect(first)
    collector.collect(second)
    assert first.blocks[0].keys is second.blocks[0].keys is second.blocks[1].keys
