"""Peers started beside the agent. Each test module gets its own processes, all of them ended by their PIDs."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.peers.comparison import Found, values
from tests.peers.exposition import parse
from tests.peers.processes import Served, start_agent, start_node_exporter
from tests.tools import peers
from tests.tools.golden import TEXTFILES

ROUNDS = 5


@pytest.fixture(scope="module")
def textfiles() -> Iterator[Path]:
    """A directory of text files that both exporters serve; anyone may read it, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="headroom-text-") as place:
        os.chmod(place, 0o755)
        yield shutil.copytree(TEXTFILES, Path(place, "files"))


@pytest.fixture(scope="module")
def agent(textfiles: Path) -> Iterator[Served]:
    with start_agent(f"--collector.textfile.directory={textfiles}") as running:
        yield running


@pytest.fixture(scope="module")
def node_exporter(textfiles: Path) -> Iterator[Served]:
    program = peers.path("node_exporter")
    assert program is not None, "the test says that it needs node_exporter"
    with start_node_exporter(program, f"--collector.textfile.directory={textfiles}") as running:
        yield running


@pytest.fixture
def three_scrapes(node_exporter: Served) -> Callable[[Served], list[list[Found]]]:
    """Differing values of an agent, each round of them between two scrapes of node_exporter."""

    def take(agent: Served) -> list[list[Found]]:
        rounds = []
        for _ in range(ROUNDS):
            before, ours, after = (parse(one.get("/metrics")) for one in (node_exporter, agent, node_exporter))
            rounds.append(values(ours, before, after))
        return rounds

    return take
