"""The udp_queues collector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.collectors.udp_queues import UdpQueues
from agent.errors import Absent, Malformed
from agent.model import Writer
from agent.sources.host import Host

UDP = (
    "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when\n"
    "   53: 0100007F:0035 00000000:0000 07 00000010:00000300 00:00000000\n"
)
UDP6 = "  sl  local_address remote_address st tx_queue rx_queue tr tm->when\n"
SERIES = 'node_udp_queues{{ip="{}",queue="{}"}}'


def test_queues_are_by_family_and_direction(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """Nothing queued is 0."""
    samples = collect(UdpQueues(make_host({"proc/1/net/udp": UDP, "proc/1/net/udp6": UDP6}), {}))
    assert samples == {
        SERIES.format("v4", "tx"): 16,
        SERIES.format("v4", "rx"): 768,
        SERIES.format("v6", "tx"): 0,
        SERIES.format("v6", "rx"): 0,
    }
    assert samples.errors == []


def test_without_ipv6_nothing_is_wrong(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """Its series are not there."""
    samples = collect(UdpQueues(make_host({"proc/net/udp": UDP}), {}))
    assert samples == {SERIES.format("v4", "tx"): 16, SERIES.format("v4", "rx"): 768}
    assert samples.errors == []


def test_a_broken_file_costs_its_own_series(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """It is said; those of the other are there."""
    samples = collect(UdpQueues(make_host({"proc/net/udp": "garbage", "proc/net/udp6": UDP6}), {}))
    assert samples == {SERIES.format("v6", "tx"): 0, SERIES.format("v6", "rx"): 0}
    assert [type(error) for error in samples.errors] == [Malformed]


def test_without_either_the_node_has_no_such_thing(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """It is no error."""
    with pytest.raises(Absent):
        collect(UdpQueues(make_host({}), {}))


def test_keys_are_the_same_object(make_host: Callable[..., Host]) -> None:
    """At every collection."""
    collector = UdpQueues(make_host({"proc/net/udp": UDP, "proc/net/udp6": UDP6}), {})
    first, second = Writer(), Writer()
    collector.collect(first)
    collector.collect(second)
    assert first.blocks[0].keys is second.blocks[0].keys
