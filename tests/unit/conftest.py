"""A small machine made of files, and what a collector says about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.errors import SourceError, Unsupported
from agent.exposition.render import Renderer
from agent.model import Collector, Writer
from agent.sources.calls import FilesystemSpace, NetworkAddress, Timex, Uname
from agent.sources.host import Host
from agent.sources.root import Root

Files = Mapping[str, str | bytes | Path]
TREES = ("proc", "sys", "root", "udev")


class FakeCalls:
    """Answers as ``agent.sources.calls.Calls`` does, with what its attributes were set to.

    Any answer may be a SourceError instead, which is raised. ``statvfs`` knows only the paths in ``spaces``,
    or every path when ``space`` is set.
    """

    def __init__(self) -> None:
        self.page_bytes = 4096
        self.clock_ticks_per_s = 100
        self.sees_host_network = True
        self.sees_host_name = True
        self.now_s: float = 1_700_000_000.25
        self.now_monotonic_s: float = 5000.5
        self.zone: tuple[str, int] | SourceError = ("UTC", 0)
        self.name: Uname | SourceError = Uname("Linux", "node-a", "6.1.0", "#1 SMP", "x86_64", "(none)")
        self.timex: Timex | SourceError = Timex(*(0,) * len(Timex._fields))
        self.addresses: list[NetworkAddress] | SourceError = []
        self.space: FilesystemSpace | SourceError | None = None
        self.spaces: dict[str, FilesystemSpace | SourceError] = {}

    def statvfs(self, path: str) -> FilesystemSpace:
        return _answer(self.spaces.get(path, self.space or Unsupported(path, "no answer was set")))

    def uname(self) -> Uname:
        return _answer(self.name)

    def adjtimex(self) -> Timex:
        return _answer(self.timex)

    def time_s(self) -> float:
        return self.now_s

    def monotonic_s(self) -> float:
        return self.now_monotonic_s

    def timezone(self) -> tuple[str, int]:
        return _answer(self.zone)

    def network_addresses(self) -> list[NetworkAddress]:
        return _answer(self.addresses)


def _answer(said: Any) -> Any:
    if isinstance(said, SourceError):
        raise said
    return said


class Samples(dict[str, float]):
    """Values by series text; ``errors`` are the parts that the collector had to omit, ``text`` is the exposition."""

    errors: list[SourceError]
    text: str


@pytest.fixture
def calls() -> FakeCalls:
    """What the kernel will answer to the host that ``make_host`` makes."""
    return FakeCalls()


@pytest.fixture
def make_host(tmp_path: Path, calls: FakeCalls) -> Callable[..., Host]:
    """Writes files below ``proc/``, ``sys/``, ``root/`` and ``udev/`` (its data) and gives the Host of these trees.

    A Path in place of content is the target of a symbolic link. A second call adds to the same trees and rewrites
    files in place, so an earlier Host sees the change.
    """
    default = calls

    def make(files: Files, calls: FakeCalls = default, node_name: str = "") -> Host:
        for tree in TREES:
            (tmp_path / tree).mkdir(exist_ok=True)
        for name, content in files.items():
            assert name.split("/")[0] in TREES, name
            _write(tmp_path / name, content)
        procfs, sysfs, rootfs, udev_data = (Root(str(tmp_path / tree)) for tree in TREES)
        return Host(procfs, sysfs, rootfs, calls, node_name, udev_data)

    return make


def _write(path: Path, content: str | bytes | Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, Path):
        path.symlink_to(content)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.fixture
def collect() -> Callable[[Collector], Samples]:
    """Runs a collector once. Values by series as in the text format: ``node_cpu_seconds_total{cpu="0",mode="idle"}``.

    Also checks what holds for every collector: only declared families, one block each, none empty, no bools.
    """

    def run(collector: Collector) -> Samples:
        out = Writer()
        collector.collect(out)
        names = [block.family.name for block in out.blocks]
        assert len(names) == len(set(names)), names
        for family, keys, values in out.blocks:
            assert family in collector.families or family.rule in collector.families, family
            assert keys, f"{family} has no sample: its HELP would stand alone"
            assert len(keys) == len(values), family
            assert all(type(value) in (int, float) for value in values), (family, values)
        return _samples(out)

    return run


def _samples(out: Writer) -> Samples:
    samples = Samples()
    samples.errors = out.errors
    samples.text = Renderer().render(out.blocks, "text").decode()
    for line in samples.text.splitlines():
        if not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            assert series not in samples, series
            samples[series] = float(value)
    return samples
