"""Collectors run one by one over a recorded node, and which files each of them reads."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agent import collectors
from agent.config.load import Config
from agent.errors import SourceError
from agent.model import Block, Collector, Writer
from agent.sources.calls import RecordedCalls
from agent.sources.host import Host
from agent.sources.root import Root
from tests.tools.golden import Recorded, config_of, lay_out
from tests.tools.recorded import Node

TREES = {"procfs": "proc", "sysfs": "sys", "rootfs": "root", "udev_data": "udev"}


def open_node(recorded: Recorded, factory: pytest.TempPathFactory) -> tuple[Node, dict[str, str]]:
    """The node and its settings; it also has the text files."""
    directory = factory.mktemp(recorded.name)
    node = lay_out(recorded, directory)
    return node, {**recorded.settings, "collector.textfile.directory": f"{directory}/textfile"}


class TracingRoot(Root):
    """A Root that remembers the files that were read, with symbolic links followed."""

    __slots__ = ("seen",)

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.seen: set[Path] = set()

    def _see(self, relative: str) -> None:
        path = os.path.realpath(self / relative)
        if os.path.isfile(path):
            self.seen.add(Path(path))

    def read(self, relative: str) -> bytes:
        self._see(relative)
        return super().read(relative)

    def attribute(self, relative: str) -> bytes:
        self._see(relative)
        return super().attribute(relative)

    def read_once(self, relative: str) -> bytes:
        self._see(relative)
        return super().read_once(relative)


class Result(NamedTuple):
    """What one collector made of one collection: a whole failure, or blocks and what was omitted."""

    blocks: tuple[Block, ...]
    error: SourceError | None
    omitted: tuple[SourceError, ...]


def run(collector: Collector) -> Result:
    """One collection. Only a SourceError is caught: anything else is a defect, and fails the test."""
    out = Writer()
    try:
        collector.collect(out)
    except SourceError as error:
        return Result((), error, tuple(out.errors))
    return Result(tuple(out.blocks), None, tuple(out.errors))


def host_of(node: Node, kind: type[Root] = Root) -> Host:
    """The recorded node, read through roots of this kind."""
    roots = {name: kind(str(node.directory / tree)) for name, tree in TREES.items()}
    calls = RecordedCalls(json.loads((node.directory / "calls.json").read_text()), roots["rootfs"].path)
    return Host(**roots, calls=calls)


def every_collector(config: Config, host: Host) -> list[Collector]:
    """All of the catalog, also what is off by default; new objects, which remember nothing."""
    for entry in collectors.CATALOG:
        config.set(entry.switch.key, True, "the test")
    return collectors.build(config, host)


def files_by_collector(node: Node, settings: Mapping[str, str]) -> Iterator[tuple[str, set[Path]]]:
    """Per collector the files that it read through its Host in one collection."""
    with closing(host_of(node, TracingRoot)) as host:
        roots = [root for name in TREES if isinstance(root := getattr(host, name), TracingRoot)]
        for collector in every_collector(config_of(node, settings), host):
            for root in roots:
                root.seen.clear()
            run(collector)
            yield collector.name, set().union(*(root.seen for root in roots))


def comparable(result: Result) -> list[tuple[Any, ...]]:
    """What a result says, as values that can be compared (NaN is not equal to itself)."""
    return [
        (one.family.name, one.keys, ["nan" if value != value else value for value in one.values])
        for one in result.blocks
    ]
