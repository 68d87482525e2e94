"""The conntrack collector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.collectors.conntrack import Conntrack
from agent.errors import Absent, Malformed, Unsupported
from agent.sources.host import Host

STATS = (
    "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error"
    "  expect_new expect_create expect_delete search_restart\n"
    "0000002a 0 1 0 2 3 0 0 4 5 6 7 0 0 0 0 8\n"
    "0000002a 0 10 0 20 30 0 0 40 50 60 70 0 0 0 0 80\n"
)
SYSCTLS = {
    "proc/sys/net/netfilter/nf_conntrack_count": "42\n",
    "proc/sys/net/netfilter/nf_conntrack_max": "262144\n",
}
FILES = {"proc/1/net/stat/nf_conntrack": STATS, **SYSCTLS}
SUMS = {
    "node_nf_conntrack_stat_found": 0x11,
    "node_nf_conntrack_stat_invalid": 0x22,
    "node_nf_conntrack_stat_ignore": 0x33,
    "node_nf_conntrack_stat_insert": 0x44,
    "node_nf_conntrack_stat_insert_failed": 0x55,
    "node_nf_conntrack_stat_drop": 0x66,
    "node_nf_conntrack_stat_early_drop": 0x77,
    "node_nf_conntrack_stat_search_restart": 0x88,
}
ENTRIES = {"node_nf_conntrack_entries": 42}
LIMIT = {"node_nf_conntrack_entries_limit": 262144}


def test_table_and_statistics_are_given(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """The statistics as sums over the CPUs, all of them gauges."""
    samples = collect(Conntrack(make_host(FILES), {}))
    assert samples == ENTRIES | LIMIT | SUMS
    assert samples.errors == []
    assert samples.text.count(" gauge\n") == len(samples)


def test_a_limit_of_another_namespace_is_not_given(
    make_host: Callable[..., Host], collect: Callable[..., Any], calls: Any
) -> None:
    """The sysctls are the pod's and are not even read; the entries are in the node's own statistics."""
    calls.sees_host_network = False
    files = FILES | dict.fromkeys(SYSCTLS, "7\n")
    samples = collect(Conntrack(make_host(files), {}))
    assert samples == ENTRIES | SUMS
    assert [type(error) for error in samples.errors] == [Unsupported]


def test_a_kernel_without_the_statistics_has_the_table(
    make_host: Callable[..., Host], collect: Callable[..., Any]
) -> None:
    """CONFIG_NF_CONNTRACK_PROCFS is an option."""
    assert collect(Conntrack(make_host(SYSCTLS), {})) == ENTRIES | LIMIT


def test_an_old_kernel_does_not_count_restarts(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """Absent is not 0."""
    old = "".join(line.rpartition(" ")[0] + "\n" for line in STATS.splitlines())
    samples = collect(Conntrack(make_host(FILES | {"proc/1/net/stat/nf_conntrack": old}), {}))
    assert samples == ENTRIES | LIMIT | {key: value for key, value in SUMS.items() if "restart" not in key}


@pytest.mark.parametrize("sees_host_network", [True, False])
def test_a_node_without_tracking_has_no_such_thing(
    make_host: Callable[..., Host], collect: Callable[..., Any], calls: Any, sees_host_network: bool
) -> None:
    """It is no error."""
    calls.sees_host_network = sees_host_network
    with pytest.raises(Absent, match="nf_conntrack"):
        collect(Conntrack(make_host({}), {}))


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        ("proc/1/net/stat/nf_conntrack", ENTRIES | LIMIT),
        ("proc/sys/net/netfilter/nf_conntrack_max", ENTRIES | SUMS),
    ],
)
def test_a_broken_file_costs_its_own_series(
    make_host: Callable[..., Host], collect: Callable[..., Any], broken: str, expected: dict[str, int]
) -> None:
    """It is said; those of the other are there."""
    samples = collect(Conntrack(make_host(FILES | {broken: "garbage\n"}), {}))
    assert samples == expected
    assert [type(error) for error in samples.errors] == [Malformed]
