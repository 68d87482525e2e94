"""``/proc/net/stat/nf_conntrack`` and ``sys/net/netfilter``: the table of tracked connections.

Source: <procfs>/1/net/stat/nf_conntrack, a line per possible CPU; <procfs>/sys/net/netfilter/nf_conntrack_{count,max},
which answer for the *reader's* network namespace. Kernel: nf_conntrack-sysctl.rst, nf_conntrack_standalone.c.
Since: 2.6.15, with the module and CONFIG_NF_CONNTRACK_PROCFS; search_restart 2.6.35.
Units: entries, packets and events; the per-CPU numbers are hexadecimal, of 32 bits: they wrap.
Errors: Malformed; Gone while the module is not loaded. Cost: 15 us.
"""

from __future__ import annotations

from typing import NamedTuple

from agent.errors import Malformed
from agent.sources.number import read_number
from agent.sources.root import Root


class ConntrackTable(NamedTuple):
    """How many connections are tracked, and how many may be."""

    entries: int
    entries_max: int


class ConntrackStats(NamedTuple):
    """``entries`` is the table's; the others are sums over the CPUs. None is what this kernel does not tell."""

    entries: int
    found: int
    invalid: int
    ignore: int
    insert: int
    insert_failed: int
    drop: int
    early_drop: int
    search_restart: int | None


def parse_conntrack_stats(buf: bytes) -> ConntrackStats:
    """Shape: ``entries clashres found ...`` and below it ``0000002a  00000000 0000001c ...`` per CPU."""
    titles, *lines = (line.split() for line in buf.splitlines() or [b""])
    try:
        by_cpu = [[int(word, 16) for word in line] for line in lines]
        columns = dict(zip(titles, zip(*by_cpu, strict=True), strict=True))
        sums = [sum(columns[name.encode()]) for name in ConntrackStats._fields[1:-1]]
        restarts = columns.get(b"search_restart")
        entries = columns[b"entries"][0]  # every CPU tells the same table's
    except (ValueError, KeyError):
        raise Malformed("net/stat/nf_conntrack", "titles and a line of numbers per CPU expected", buf) from None
    return ConntrackStats._make((entries, *sums, None if restarts is None else sum(restarts)))


def read_conntrack_stats(procfs: Root, path: str) -> ConntrackStats:
    """``path`` is the node's net/stat/nf_conntrack below ``procfs``."""
    return parse_conntrack_stats(procfs.read(path))


def read_conntrack_table(procfs: Root) -> ConntrackTable:
    """That of the reader's network namespace."""
    count, limit = (read_number(procfs, f"sys/net/netfilter/nf_conntrack_{name}") for name in ("count", "max"))
    return ConntrackTable(count, limit)
