"""The sockstat collector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agent.collectors.sockstat import Sockstat
from agent.errors import Absent, Malformed
from agent.sources.host import Host

SOCKSTAT = "sockets: used 15\nTCP: inuse 2 orphan 0 tw 3 alloc 4 mem 257 novel 9\nFRAG: inuse 0 memory 8\n"
SOCKSTAT6 = "TCP6: inuse 5\nFRAG6: inuse 6 memory 7\n"


def test_each_state_of_each_protocol_is_a_family(
    make_host: Callable[..., Host], collect: Callable[..., Any], calls: Any
) -> None:
    """Memory in pages and in bytes; a state that nobody knows is left out."""
    calls.page_bytes = 65536
    samples = collect(Sockstat(make_host({"proc/1/net/sockstat": SOCKSTAT, "proc/1/net/sockstat6": SOCKSTAT6}), {}))
    assert samples == {
        "node_sockstat_sockets_used": 15,
        "node_sockstat_TCP_inuse": 2,
        "node_sockstat_TCP_orphan": 0,
        "node_sockstat_TCP_tw": 3,
        "node_sockstat_TCP_alloc": 4,
        "node_sockstat_TCP_mem": 257,
        "node_sockstat_TCP_mem_bytes": 257 * 65536,
        "node_sockstat_FRAG_inuse": 0,
        "node_sockstat_FRAG_memory": 8,
        "node_sockstat_TCP6_inuse": 5,
        "node_sockstat_FRAG6_inuse": 6,
        "node_sockstat_FRAG6_memory": 7,
    }
    assert "# HELP node_sockstat_TCP_mem_bytes Number of TCP sockets in state mem_bytes.\n" in samples.text


def test_without_ipv6_nothing_is_wrong(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """The rest is there, and the absence is not counted as an error."""
    samples = collect(Sockstat(make_host({"proc/1/net/sockstat": SOCKSTAT}), {}))
    assert samples["node_sockstat_TCP_inuse"] == 2
    assert not any("6" in key for key in samples)
    assert [type(error) for error in samples.errors] == [Absent]


def test_a_broken_file_costs_its_own_series(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """It is said; those of the other are there."""
    samples = collect(Sockstat(make_host({"proc/net/sockstat": "garbage", "proc/net/sockstat6": SOCKSTAT6}), {}))
    assert samples["node_sockstat_FRAG6_memory"] == 7
    assert len(samples) == 3
    assert [type(error) for error in samples.errors] == [Malformed]


def test_without_a_sum_there_is_none(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """Absent is not 0."""
    samples = collect(Sockstat(make_host({"proc/net/sockstat": "sockets: new 1\nUDP: mem 3\n"}), {}))
    assert samples == {"node_sockstat_UDP_mem": 3, "node_sockstat_UDP_mem_bytes": 3 * 4096}
