"""``/proc/net/stat/nf_conntrack`` and ``sys/net/netfilter``."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Gone, Malformed
from agent.sources.conntrack import (
    ConntrackStats,
    ConntrackTable,
    parse_conntrack_stats,
    read_conntrack_stats,
    read_conntrack_table,
)
from agent.sources.host import Host

TITLES = (
    b"entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error"
    b"  expect_new expect_create expect_delete search_restart\n"
)


def cpu(*values: int) -> bytes:
    return b" ".join(b"%08x" % value for value in values) + b"\n"


STATS = TITLES + cpu(42, *range(1, 17)) + cpu(42, *(0x100 * n for n in range(1, 17)))


def test_entries_are_the_tables_and_the_rest_is_summed() -> None:
    """Every CPU tells the same number of entries."""
    sums = [n + 0x100 * n for n in (2, 4, 5, 8, 9, 10, 11, 16)]
    assert parse_conntrack_stats(STATS) == ConntrackStats(42, *sums)


def test_columns_are_found_by_their_titles() -> None:
    """An old kernel has no search_restart: None, not 0."""
    old = TITLES.replace(b" search_restart", b"").replace(b"clashres", b"searched") + cpu(7, *range(1, 16))
    assert parse_conntrack_stats(old) == ConntrackStats(7, 2, 4, 5, 8, 9, 10, 11, None)


@pytest.mark.parametrize(
    "buf",
    [
        b"",
        b"\n",
        TITLES,
        STATS[:-20],
        STATS[: len(TITLES) + 30],
        STATS.split(b"\n", 1)[1],
        STATS.replace(b" found ", b" lost "),
        STATS.replace(b"entries", b"exits"),
        STATS.replace(b"0000002a", b"0000002x"),
    ],
)
def test_what_is_not_such_a_table_is_malformed(buf: bytes) -> None:
    """Empty, no CPU, cut, without titles, a column missing, no number."""
    with pytest.raises(Malformed, match="nf_conntrack"):
        parse_conntrack_stats(buf)


@given(
    st.binary()
    | st.builds(
        lambda at, junk, gone: STATS[:at] + junk + STATS[at + gone :],
        st.integers(0, len(STATS)),
        st.binary(max_size=8),
        st.integers(0, 200),
    )
)
def test_any_bytes_give_stats_or_malformed(buf: bytes) -> None:
    """No other exception escapes."""
    try:
        assert isinstance(parse_conntrack_stats(buf).entries, int)
    except Malformed:
        pass


def test_both_are_read_below_procfs(make_host: Callable[..., Host]) -> None:
    """The statistics from the node's namespace, the table from the reader's."""
    netfilter = "proc/sys/net/netfilter/nf_conntrack"
    host = make_host(
        {"proc/1/net/stat/nf_conntrack": STATS, f"{netfilter}_count": "3\n", f"{netfilter}_max": "262144\n"}
    )
    assert read_conntrack_stats(host.procfs, host.net("stat/nf_conntrack")).entries == 42
    assert read_conntrack_table(host.procfs) == ConntrackTable(3, 262144)


def test_without_the_module_both_are_gone(make_host: Callable[..., Host]) -> None:
    """Not zeros."""
    host = make_host({})
    with pytest.raises(Gone):
        read_conntrack_stats(host.procfs, host.net("stat/nf_conntrack"))
    with pytest.raises(Gone):
        read_conntrack_table(host.procfs)
