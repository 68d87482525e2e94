"""The golden expositions: ``python -m tests.tools.golden`` writes tests/golden/ anew from the recorded nodes.

Review the difference (``git diff tests/golden``) before it is committed: each changed line is a change that somebody's
dashboard sees. The test beside the files holds the agent to them byte for byte.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import chdir
from pathlib import Path
from typing import Final, NamedTuple

from agent import collectors
from agent.app import eviction_watch, host_of
from agent.config.load import Config, load
from agent.engine import Engine
from agent.exposition.negotiate import Format
from agent.exposition.render import Renderer
from agent.model import Block
from agent.settings import AGENT, HOST, LOG
from agent.sources.kubelet.configz import parse_configz
from agent.sources.kubelet.pods import parse_pods
from agent.sources.kubelet.slot import Document, Kubelet
from agent.sources.kubelet.summary import parse_summary
from tests.kubelet.bodies import body
from tests.tools.recorded import Node, archive_of, unpack

HERE: Final = Path(__file__).resolve().parents[1]
GOLDEN: Final = HERE / "golden"
TEXTFILES: Final = HERE / "fixtures" / "textfile"
SUFFIXES: Final[dict[str, Format]] = {"prom": "text", "om": "openmetrics"}
TEXTFILE_TIME_S: Final = 1_790_000_000  # every recorded node has the same text files, of the same time
TEXTFILE_DIRECTORY: Final = {"collector.textfile.directory": "textfile"}


class Recorded(NamedTuple):
    """A recorded node and the settings it is shown with, besides where its trees are.

    ``kubelet`` names the recording in tests/fixtures/kubelet of what its kubelet said at the same moment, if any.
    """

    name: str
    settings: dict[str, str]
    kubelet: str = ""


NODES: Final = (
    Recorded("cgroup2", {**TEXTFILE_DIRECTORY, "collector.named_processes.names": "systemd,kubelet"}),
    Recorded("raid", TEXTFILE_DIRECTORY),
    Recorded("vm", {**TEXTFILE_DIRECTORY, "collector.named_processes.names": "python3"}),
)

# What its kernel says is the kubelet's own choice of files, so it is no subject for node_exporter.
WITH_KUBELET: Final = (
    Recorded(
        "kubelet-idle",
        {
            **TEXTFILE_DIRECTORY,
            "kubelet.url": "https://127.0.0.1:10250",
            "kubelet.cgroup-root": "/rkube",
            "kubelet.root-dir": "/var/lib/rig/nodefs",
            "runtime.image-dir": "/var/lib/rig/imagefs",
            "collector.pod_state.enabled": "true",
        },
        "idle",
    ),
)
GOLDENS: Final = (*NODES, *WITH_KUBELET)

# Families whose values depend on the moment of the run or on the process that runs, not on the node.
_FOOTPRINT: Final = "what the process that runs the test uses"
NOT_GOLDEN: Final = (
    ("headroom_collector_duration_seconds", "how long this run took"),
    ("node_scrape_collector_duration_seconds", "how long this run took"),
    ("node_exporter_build_info", "the interpreter that runs the test and our own version"),
    ("process_cpu_seconds_total", _FOOTPRINT),
    ("process_open_fds", _FOOTPRINT),
    ("process_max_fds", _FOOTPRINT),
    ("process_virtual_memory_bytes", _FOOTPRINT),
    ("process_virtual_memory_max_bytes", _FOOTPRINT),
    ("process_resident_memory_bytes", _FOOTPRINT),
    ("process_start_time_seconds", _FOOTPRINT),
    (
        "container_start_time_seconds",
        "without a kubelet a directory's time, which unpacking sets",
    ),
)


def configured(settings: Mapping[str, str]) -> Config:
    """The agent's configuration with these settings, as its flags would make it; without any, for this machine."""
    return load((*AGENT, *HOST, *LOG, *collectors.settings()), "", {}, settings)


def config_of(node: Node, settings: Mapping[str, str]) -> Config:
    """The agent's configuration for a recorded node."""
    return configured({**node.settings, **settings})


def blocks_of(config: Config, kubelet: str = "") -> list[Block]:
    """What one collection gives, without the families of NOT_GOLDEN."""
    host = host_of(config)
    if kubelet:
        host.kubelet = said(kubelet, host.calls.monotonic_s())
    chosen = collectors.build(config, host, watch=eviction_watch(config, host))
    batch = Engine(chosen, host.calls).snapshot()
    left_out = {name for name, _ in NOT_GOLDEN}
    return [block for block in batch.blocks if block.family.name not in left_out]


def said(recording: str, monotonic_s: float) -> Kubelet:
    """What a recorded kubelet has just said."""
    kubelet = Kubelet()
    kubelet.put_pods(Document(parse_pods(body(recording, "pods")), monotonic_s, 0.0))
    kubelet.put_summary(Document(parse_summary(body(recording, "stats_summary")), monotonic_s, 0.0))
    kubelet.put_configz(Document(parse_configz(body(recording, "configz")), monotonic_s, 0.0))
    return kubelet


def lay_out(recorded: Recorded, directory: Path) -> Node:
    """A recorded node and the text files in an empty directory."""
    node = unpack(archive_of(recorded.name), directory)
    shutil.copytree(TEXTFILES, directory / "textfile")
    for path in (directory / "textfile").iterdir():
        os.utime(path, (TEXTFILE_TIME_S, TEXTFILE_TIME_S))
    return node


def collect(recorded: Recorded, directory: Path) -> list[Block]:
    """A recorded node, laid out in an empty directory and collected from there.

    The text files are named relative to that directory, because their paths are label values.
    """
    node = lay_out(recorded, directory)
    with chdir(directory):
        return blocks_of(config_of(node, recorded.settings), recorded.kubelet)


def expositions(blocks: Iterable[Block]) -> dict[str, bytes]:
    """Both formats, by the suffix of their golden file."""
    blocks = list(blocks)
    return {suffix: Renderer().render(blocks, format) for suffix, format in SUFFIXES.items()}


def main() -> int:
    for recorded in GOLDENS:
        with tempfile.TemporaryDirectory() as directory:
            found = expositions(collect(recorded, Path(directory)))
        for suffix, content in found.items():
            path = GOLDEN / f"{recorded.name}.{suffix}"
            before = path.read_bytes() if path.exists() else b""
            path.write_bytes(content)
            print(f"{path}: {'as it was' if before == content else 'changed, review it'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
