"""The expositions of recorded nodes, byte for byte. ``python -m tests.tools.golden`` writes them anew, for review."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent import app
from agent.collectors import CATALOG
from agent.model import Block, Family
from tests.tools.golden import GOLDEN, GOLDENS, NOT_GOLDEN, SUFFIXES, Recorded, collect, expositions

# Default collectors that no recorded node has anything for. Each line goes when a recording of a node that has the
# thing is added; a line that is no longer true fails.
NOT_RECORDED_YET = (("volume_stats", "no recorded kubelet has a pod with a persistent volume claim"),)


@pytest.fixture(scope="module", params=GOLDENS, ids=lambda recorded: recorded.name)
def said(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Recorded, list[Block]]:
    """A recorded node and what the agent says about it."""
    return request.param, collect(request.param, tmp_path_factory.mktemp(request.param.name))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_recorded_node_gives_exactly_this(said: tuple[Recorded, list[Block]], suffix: str) -> None:
    """The bytes of the golden file, of both formats."""
    recorded, blocks = said
    golden = (GOLDEN / f"{recorded.name}.{suffix}").read_bytes()
    found = expositions(blocks)[suffix]
    assert found.decode().splitlines() == golden.decode().splitlines()
    assert found == golden


def test_every_golden_file_is_held() -> None:
    """No golden file is left over from a node that is not recorded any more."""
    files = {path.name for path in GOLDEN.iterdir() if path.suffix.removeprefix(".") in SUFFIXES}
    assert files == {f"{recorded.name}.{suffix}" for recorded in GOLDENS for suffix in SUFFIXES}


def test_every_default_collector_is_in_a_golden(tmp_path: Path) -> None:
    """Each collector that is on by default and no mere place says something about at least one recorded node."""
    seen: set[object] = set()
    for recorded in GOLDENS:
        directory = tmp_path / recorded.name
        directory.mkdir()
        for block in collect(recorded, directory):
            seen |= {block.family, block.family.rule}
    left_out = {name for name, _ in NOT_GOLDEN}
    silent = set()
    for entry in CATALOG:
        families = entry.load().families
        said = any(family in seen or family.name in left_out for family in families)
        if entry.enabled and not entry.place and not said:
            silent.add(entry.name)
    assert silent == {name for name, _ in NOT_RECORDED_YET}


def test_what_is_left_out_exists() -> None:
    """Each family that a golden leaves out is one that is declared somewhere."""
    declared = [family for entry in CATALOG for family in entry.load().families]
    declared += (*app.OWN_FAMILIES, *app.push_families())
    assert {name for name, _ in NOT_GOLDEN} <= {family.name for family in declared if isinstance(family, Family)}
