"""What every collector gives: declared families, once, with values that are numbers and keys that fit."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from agent import collectors
from agent.app import host_of
from agent.collectors import CATALOG
from agent.config.load import Config
from agent.engine import Engine
from agent.exposition.render import Renderer
from agent.model import Block, Collector
from tests.contract.collecting import every_collector, run
from tests.tools.golden import config_of, configured
from tests.tools.recorded import Node

FEW = 3  # a handful of keys is compared as fast as it is remembered
CHANGING = ("top_processes",)  # which are at the top is new each time
SLOTS = ("histogram", "summary")


def here() -> Config:
    """The settings of an agent for this machine, with every collector."""
    config = configured({})
    for entry in CATALOG:
        config.set(entry.switch.key, True, "the test")
    return config


def check(collector: Collector, block: Block) -> None:
    family, keys, values = block
    assert family in collector.families or family.rule in collector.families, f"{family} is not declared"
    assert len(keys) == len(values) > 0, family
    assert len(set(keys)) == len(keys), f"{family}: a label set twice"
    width = len(family.labels) + 2 * (family.type in SLOTS)
    for key in keys:
        assert len(key) == width, (family, key)
        assert all(type(value) is str for value in key), (family, key)
    for value in values:
        assert type(value) in (int, float), (family, value)


def given(chosen: list[Collector]) -> list[Block]:
    """Two collections of each collector, checked; the blocks of the second."""
    blocks = []
    for collector in chosen:
        first, second = run(collector), run(collector)
        for block in (*first.blocks, *second.blocks):
            check(collector, block)
        blocks += second.blocks
    names = [block.family.name for block in blocks]
    assert sorted(set(names)) == sorted(names), "a family from two collectors"
    return blocks


def read_back(blocks: list[Block]) -> None:
    """Both formats say the same samples, to parsers that are not ours."""
    text = Renderer().render(blocks, "text").decode()
    openmetrics = Renderer().render(blocks, "openmetrics").decode()
    samples = [sample for family in read_text(text) for sample in family.samples]
    strict = [sample for family in read_openmetrics(openmetrics) for sample in family.samples]
    assert len(samples) == len(strict) == sum(len(block.keys) for block in blocks)
    misnamed = {block.family.name for block in blocks if block.family.type == "counter"}  # cAdvisor has one
    misnamed = {name for name in misnamed if not name.endswith("_total")}
    told = {(_as_told(one.name, misnamed), frozenset(one.labels.items())) for one in samples}
    assert told == {(one.name, frozenset(one.labels.items())) for one in strict}


def _as_told(name: str, misnamed: set[str]) -> str:
    """prometheus_client's text parser calls every counter ``_total``, also one that is not."""
    return name.removesuffix("_total") if name.removesuffix("_total") in misnamed else name


def test_a_recorded_node(recorded: tuple[Node, dict[str, str]]) -> None:
    """Over a recorded node, every collector of the catalog keeps to its declaration, in both formats."""
    node, settings = recorded
    config = config_of(node, settings)
    blocks = given(every_collector(config, host_of(config)))
    assert len(blocks) > 100
    read_back(blocks)


def test_this_machine() -> None:
    """On the machine that the test runs on, every collector of the catalog keeps to its declaration."""
    config = here()
    read_back(given(collectors.build(config, host_of(config))))


def test_unchanged_label_sets_are_the_same_object(recorded: tuple[Node, dict[str, str]]) -> None:
    """The keys of a family are the same tuple in the next collection while nothing changed: rendering relies on it."""
    node, settings = recorded
    config = config_of(node, settings)
    for collector in every_collector(config, host_of(config)):
        first, second = run(collector), run(collector)
        keys = {block.family: block.keys for block in first.blocks}
        lost = [one.family for one in second.blocks if len(one.keys) > FEW and one.keys is not keys[one.family]]
        assert lost == [] or collector.name in CHANGING, collector.name


def open_files() -> list[str]:
    """What our descriptors are, but for the one that lists them."""
    places = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    files = [os.readlink(place) for place in places if os.path.lexists(place)]
    return sorted(file.removesuffix(" (deleted)") for file in files)  # procfs forgets names, not files


def opened_by_fifty(config: Config) -> list[str]:
    """What fifty collections leave open, after the first two have opened what is kept."""
    host = host_of(config)
    engine = Engine(collectors.build(config, host), host.calls)
    engine.snapshot()
    engine.snapshot()
    before = open_files()
    for _ in range(50):
        engine.snapshot()
    return sorted((Counter(open_files()) - Counter(before)).elements())


def test_no_descriptor_leaks_on_a_recorded_node(recorded: tuple[Node, dict[str, str]]) -> None:
    """Fifty collections of a node that does not change open nothing."""
    node, settings = recorded
    assert opened_by_fifty(config_of(node, settings)) == []


def test_no_descriptor_leaks_here() -> None:
    """Nor do they on the machine that the test runs on, where devices and processes may come in between."""
    assert any(opened_by_fifty(here()) == [] for _ in range(3))


# What an agent can say where nothing can be read: about itself, and the time by its own clock.
SELF = ("headroom_", "process_", "node_scrape_collector_", "node_exporter_build_info")
OF_NO_FILE = {"node_time_seconds", "node_textfile_scrape_error"}


@pytest.mark.parametrize("trees", ["empty", "missing"])
def test_an_empty_root_is_safe(tmp_path: Path, trees: str) -> None:
    """Without procfs, sysfs and a root, a snapshot succeeds and says nothing about a node, and nothing is a defect."""
    node = Node(tmp_path)
    (tmp_path / "calls.json").write_text(
        '{"page_bytes": 4096, "clock_ticks_per_s": 100, "time_s": 1.7e9, "monotonic_s": 5.0}'
    )
    if trees == "empty":
        for tree in ("proc", "sys", "root", "udev"):
            (tmp_path / tree).mkdir()
    config = config_of(node, {})
    host = host_of(config)
    chosen = every_collector(config, host)
    batch = Engine(chosen, host.calls).snapshot()
    said = {block.family.name for block in batch.blocks}
    assert {name for name in said - OF_NO_FILE if not name.startswith(SELF)} == set()
    reasons = {key[1] for block in batch.blocks for key in _errors(block)}
    assert not {"defect", "failed", "overdue"} & reasons
    successes = next(block for block in batch.blocks if block.family.name == "headroom_collector_success")
    assert set(successes.keys) == {(one.name,) for one in chosen}


def _errors(block: Block) -> tuple[tuple[str, ...], ...]:
    return block.keys if block.family.name == "headroom_collector_errors_total" else ()
