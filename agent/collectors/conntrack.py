"""How full the table of tracked connections is, and what went wrong with it.

The table's limit is a sysctl, which answers for the reader's network namespace: where that is not the node's, it is
omitted. The number of entries is also in the statistics of the node's own namespace, so it is always there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.errors import Absent, Gone, Unsupported
from agent.model import Declared, Family, Part, Writer
from agent.sources.conntrack import ConntrackStats, ConntrackTable, read_conntrack_stats, read_conntrack_table
from agent.sources.host import Host

ENTRIES = Family(
    "node_nf_conntrack_entries", "gauge", "Number of currently allocated flow entries for connection tracking."
)
LIMIT = Family("node_nf_conntrack_entries_limit", "gauge", "Maximum size of connection tracking table.")


def _stat(name: str, help: str) -> Family:
    return Family(f"node_nf_conntrack_stat_{name}", "gauge", help)


# In the order of ConntrackStats' fields after ``entries``.
STATS: Final = (
    _stat("found", "Number of searched entries which were successful."),
    _stat("invalid", "Number of packets seen which can not be tracked."),
    _stat("ignore", "Number of packets seen which are already connected to a conntrack entry."),
    _stat("insert", "Number of entries inserted into the list."),
    _stat("insert_failed", "Number of entries for which list insertion was attempted but failed."),
    _stat("drop", "Number of packets dropped due to conntrack failure."),
    _stat(
        "early_drop",
        "Number of dropped conntrack entries to make room for new ones, if maximum table size was reached.",
    ),
    _stat("search_restart", "Number of conntrack table lookups which had to be restarted due to hashtable resizes."),
)


class Conntrack:
    name: Final = "conntrack"
    part: Final[Part] = "node"
    families: Final[Declared] = (ENTRIES, LIMIT, *STATS)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._host = host

    def collect(self, out: Writer) -> None:
        stats, table = None, None
        with out.optional:
            stats = self._stats()
        with out.optional:
            table = self._table()
        if stats is not None:
            out.one(ENTRIES, stats.entries)
            for family, value in zip(STATS, stats[1:], strict=True):
                if value is not None:
                    out.one(family, value)
        elif table is not None:
            out.one(ENTRIES, table.entries)
        elif not out.errors:
            raise Absent(self._host.procfs / self._host.net("stat/nf_conntrack"), "connection tracking is not loaded")
        if table is not None:
            out.one(LIMIT, table.entries_max)
        elif stats is not None and not self._host.calls.sees_host_network:
            with out.optional:
                raise Unsupported(self._host.procfs / "sys/net/netfilter", "answers for our network namespace only")

    def _stats(self) -> ConntrackStats | None:
        try:
            return read_conntrack_stats(self._host.procfs, self._host.net("stat/nf_conntrack"))
        except Gone:
            return None  # not loaded, or a kernel without CONFIG_NF_CONNTRACK_PROCFS

    def _table(self) -> ConntrackTable | None:
        if not self._host.calls.sees_host_network:
            return None
        try:
            return read_conntrack_table(self._host.procfs)
        except Gone:
            return None
