"""Two exporters of one moving machine, compared: what differs, and which values cannot both be true.

The agent is scraped between two scrapes of its peer. What the peer says the same twice is constant: the agent must say
it too. What moves must lie between the peer's two readings, and a gauge that goes both ways within a written tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from tests.peers.exposition import Scrape
from tests.tools.differences import Difference

# Series that only one of them has by its nature: the exporters about themselves, and ours about containers.
OWN: Final = ("go_*", "process_*", "promhttp_*", "headroom_*", "container_*", "kubelet_*", "kube_*")
# Values that are never equal: how long each exporter took.
NOT_COMPARED: Final = ("node_scrape_collector_duration_seconds*",)
# Gauges that move both ways, so that a third reading may lie outside two others: by how much, absolutely.
TOLERANCES: Final = (
    ("node_load*", 0.5),
    ("node_memory_*_bytes", 256 << 20),
    ("node_filesystem_avail_bytes*", 256 << 20),
    ("node_filesystem_free_bytes*", 256 << 20),
    ("node_filesystem_files_free*", 20_000),
    ("node_filefd_allocated", 2_000),
    ("node_procs_*", 50),
    ("node_sockstat_*_mem_bytes", 1 << 20),
    ("node_sockstat_*", 100),
    ("node_netstat_Tcp_CurrEstab", 100),
    ("node_nf_conntrack_entries", 100),
    ("node_arp_entries*", 10),
    ("node_udp_queues*", 1 << 20),
    ("node_softnet_backlog_len*", 1_000),
    ("node_disk_io_now*", 100),
    ("node_entropy_available_bits", 256),
    ("node_timex_*", 0.01),
)


class Found(NamedTuple):
    """One difference: its kind, the series (or family) and what each side says."""

    kind: str
    series: str
    peer: object = None
    agent: object = None

    def __str__(self) -> str:
        return f"{self.kind} {self.series}: the peer says {self.peer!r}, the agent {self.agent!r}"


def shape(agent: Scrape, peer: Scrape) -> list[Found]:
    """Series that only one of them has, and families whose type or HELP differ."""
    ours, theirs = _samples(agent), _samples(peer)
    found = [Found("missing", series, peer.samples[series]) for series in theirs if series not in agent.samples]
    found += [Found("extra", series, None, agent.samples[series]) for series in ours if series not in peer.samples]
    for family in {agent.family[series] for series in ours} & {peer.family[series] for series in theirs}:
        for kind, said, true in (("type", agent.types, peer.types), ("help", agent.helps, peer.helps)):
            if said.get(family) != true.get(family):
                found.append(Found(kind, family, true.get(family), said.get(family)))
    return found


def told(found: Iterable[object]) -> str:
    """One line each, so that a failed comparison with "" shows all of them."""
    return "\n".join(sorted(map(str, found)))


def values(agent: Scrape, before: Scrape, after: Scrape) -> list[Found]:
    """Series of all three scrapes whose value cannot be what the peer saw around it."""
    found = []
    for series in _samples(agent):
        if series in before.samples and series in after.samples and not _any(NOT_COMPARED, series):
            value, first, second = agent.samples[series], before.samples[series], after.samples[series]
            counts = agent.types.get(agent.family[series]) == "counter"
            if not _agrees(value, first, second, 0.0 if counts else _tolerance(series)):
                found.append(Found("value", series, (first, second), value))
    return found


def _agrees(value: float, first: float, second: float, tolerance: float) -> bool:
    if math.isnan(value) or math.isnan(first):
        return math.isnan(value) and math.isnan(first)
    if value in (first, second):
        return True
    low, high = min(first, second) - tolerance, max(first, second) + tolerance
    return low - abs(low) * 1e-12 <= value <= high + abs(high) * 1e-12  # the last digit of a quotient


def _tolerance(series: str) -> float:
    return next((tolerance for pattern, tolerance in TOLERANCES if fnmatchcase(series, pattern)), 0.0)


def _samples(scrape: Scrape) -> list[str]:
    return [series for series in scrape.samples if not _any(OWN, series)]


def _any(patterns: Iterable[str], series: str) -> bool:
    return any(fnmatchcase(series, pattern) for pattern in patterns)


def steady(rounds: Sequence[Sequence[Found]]) -> list[Found]:
    """What differs in every round: a true value that moved both ways between two scrapes does not do so each time."""
    always = set.intersection(*({one.series for one in found} for found in rounds))
    return [one for one in rounds[-1] if one.series in always]


def unlisted(found: Iterable[Found], listed: Sequence[Difference]) -> list[Found]:
    """The differences that nothing explains."""
    return [one for one in found if not any(entry.covers(one.kind, one.series) for entry in listed)]


def stale(found: Sequence[Found], listed: Sequence[Difference]) -> list[Difference]:
    """Listed differences that no longer occur, but for those of other machines."""
    return [
        entry for entry in listed if not entry.when and not any(entry.covers(one.kind, one.series) for one in found)
    ]


def agreement(found: Iterable[Found], peer: Scrape) -> float:
    """The share of the peer's ``node_*`` series that the agent serves alike, whatever is listed."""
    nodes = [series for series in _samples(peer) if series.startswith("node_")]
    wrong = {one.series for one in found}
    return sum(series not in wrong and peer.family[series] not in wrong for series in nodes) / len(nodes)
