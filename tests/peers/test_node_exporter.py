"""The agent beside the real node_exporter 1.11.1, on the machine that both run on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.peers import comparison
from tests.peers.comparison import Found, told
from tests.peers.exposition import parse
from tests.peers.processes import Served
from tests.tools import differences

pytestmark = pytest.mark.needs("root", "node_exporter")


def test_its_series_are_ours(agent: Served, node_exporter: Served) -> None:
    """Families, types, HELP, label names and label sets are equal, but for docs/differences.toml, which is true.

    Each listed difference has its reason there, and counts as a difference all the same.
    """
    peer = parse(node_exporter.get("/metrics"))
    found = comparison.shape(parse(agent.get("/metrics")), peer)
    listed = [entry for entry in differences.read()[0] if entry.kind != "value"]
    assert told(comparison.unlisted(found, listed)) == ""
    assert told(comparison.stale(found, listed)) == ""
    assert comparison.agreement(found, peer) >= 0.99


def test_its_values_are_ours(agent: Served, three_scrapes: Callable[[Served], list[list[Found]]]) -> None:
    """Constant values are equal, moving ones lie between node_exporter's readings before and after."""
    found = comparison.steady(three_scrapes(agent))
    listed = [entry for entry in differences.read()[0] if entry.kind == "value"]
    assert told(comparison.unlisted(found, listed)) == ""
    assert told(comparison.stale(found, listed)) == ""
