"""Garbage in any file that a collector reads costs what depends on that file, and is never a defect."""

from __future__ import annotations

import random
import re
import traceback
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.exposition.render import Renderer
from tests.contract.collecting import comparable, every_collector, files_by_collector, host_of, open_node, run
from tests.tools import golden
from tests.tools.golden import config_of
from tests.tools.recorded import Node

METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
# The agent's own footprint is read from its own /proc, and moves.
NOT_RECORDED = "agent"
# psutil reads more of a process than goes through our Root.
OF_PROCESSES = {"named_processes", "top_processes"}
ALIKE_MAX = 1  # of the attributes of all devices, and of the files of all processes, so many of each name
NODES = [recorded for recorded in golden.NODES if recorded.name != "cgroup2"]  # has nothing that these two lack

Damage = Callable[[bytes, random.Random], bytes]


def _noise(content: bytes, chance: random.Random) -> bytes:
    return chance.randbytes(max(16, min(len(content), 400)))


def _spoilt(content: bytes, chance: random.Random) -> bytes:
    """One byte in ten is another one."""
    spoilt = bytearray(content)
    for place in chance.sample(range(len(spoilt)), len(spoilt) // 10):
        spoilt[place] = chance.randrange(256)
    return bytes(spoilt)


def _words(content: bytes, chance: random.Random) -> bytes:
    """Words in place of numbers and numbers in place of words."""
    return re.sub(rb"[a-zA-Z]+", b"7", re.sub(rb"\d+", b"x", content))


def _quoting(content: bytes, chance: random.Random) -> bytes:
    """What would end a label value, in every word."""
    after = (b'"', b"\\", b"{", b"}", b"%s", b"\xff")
    return re.sub(rb"([a-zA-Z])", lambda found: found[1] + chance.choice(after), content)


DAMAGES: dict[str, Damage] = {
    "empty": lambda content, _: b"",
    "newline": lambda content, _: b"\n",
    "half": lambda content, _: content[: len(content) // 2],
    "without its end": lambda content, _: content.rstrip()[:-1],
    "twice": lambda content, _: content + content,
    "noise": _noise,
    "spoilt": _spoilt,
    "words": _words,
    "quoting": _quoting,
    "negative": lambda content, _: re.sub(rb"(\d+)", rb"-\1", content),
    "huge": lambda content, _: re.sub(rb"\d+", b"9" * 30, content),
}


class Machine:
    """A recorded node whose files can be damaged, and what its collectors said while it was whole."""

    def __init__(self, node: Node, settings: dict[str, str]) -> None:
        self._node = node
        self._settings = settings
        self.readers: dict[Path, set[str]] = {}
        for name, files in files_by_collector(node, settings):
            for file in files:
                self.readers.setdefault(file, set()).add(name)
        self._keep_few_alike()
        self.before = self.collect()

    def _keep_few_alike(self) -> None:
        alike: Counter[tuple[str, ...]] = Counter()
        for file, readers in sorted(self.readers.items()):
            if file.parent.name.isdecimal():
                readers |= OF_PROCESSES
            alike[kind := (file.name, *sorted(readers))] += 1
            if alike[kind] > ALIKE_MAX:
                del self.readers[file]

    def collect(self, suspects: Collection[str] = ()) -> dict[str, list[tuple[Any, ...]]]:
        """What each collector says; of the suspects, its exposition too. New collectors: they remember nothing."""
        said = {}
        with closing(host_of(self._node)) as host:
            for collector in every_collector(config_of(self._node, self._settings), host):
                if collector.name != NOT_RECORDED:
                    result = run(collector)
                    if collector.name in suspects:
                        _check_rendered(result.blocks)
                    said[collector.name] = comparable(result)
        return said


def _check_rendered(blocks: tuple[Any, ...]) -> None:
    """What is served can be read: whatever the files say, the exposition of the others depends on it."""
    for block in blocks:
        assert METRIC.fullmatch(block.family.name), block.family
        assert len(block.keys) == len(block.values), block
        assert all(type(value) in (int, float) for value in block.values), block
    text = Renderer().render(blocks, "text").decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert len(samples) == sum(len(block.keys) for block in blocks), text
    assert Renderer().render(blocks, "openmetrics").decode().endswith("# EOF\n")


@pytest.fixture(scope="module", params=NODES, ids=lambda recorded: recorded.name)
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """Each recorded node in turn, our own to damage; every test leaves it as it was."""
    return Machine(*open_node(request.param, tmp_path_factory))


@pytest.mark.parametrize("kind", DAMAGES)
def test_garbage_costs_only_what_it_is_in(machine: Machine, kind: str) -> None:
    """Each file in turn is damaged: no defect, an exposition that can be read, the other collectors unchanged."""
    assert len(machine.readers) > 30
    wrong = []
    for file, readers in machine.readers.items():
        whole = file.read_bytes()
        damaged = DAMAGES[kind](whole, random.Random(f"{kind} {file.name}"))
        file.write_bytes(damaged)
        try:
            after = machine.collect(readers)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            wrong.append(f"{file}: {type(error).__name__} {str(error)[:200]} at {where.filename}:{where.lineno}")
            continue
        finally:
            file.write_bytes(whole)
        if others := {name for name in machine.before if after[name] != machine.before[name]} - readers:
            wrong.append(f"{file}: changed {', '.join(sorted(others))}")
    assert wrong == []


def test_a_node_without_damage_says_the_same_again(machine: Machine) -> None:
    """The comparison above is of like with like: a second collection by new collectors is equal, and not empty."""
    assert machine.collect() == machine.before
    assert sum(map(bool, machine.before.values())) > 20
