"""The recorder: what it takes from a machine is enough to say the same about it elsewhere, and no more than that."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from agent.config.load import load
from agent.settings import AGENT, HOST, LOG
from tests.tools.golden import blocks_of, config_of
from tests.tools.recorded import CALLS, NODES, TREES, Directory, Link, Node, pack, unpack

RECORDER = Path(__file__).resolve().parents[1] / "tools" / "record_node.py"
PRIVATE = ("cmdline", "environ", "serial", "uuid", "io", "maps", "fd")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This machine, recorded by an interpreter that sees no installed packages: no psutil."""
    out = tmp_path_factory.mktemp("recording") / "here.tar.gz"
    subprocess.run([sys.executable, "-S", RECORDER, out], check=True, timeout=60, stdout=subprocess.DEVNULL)
    return out


def names_of(blocks: list) -> set[str]:  # type: ignore[type-arg]
    return {block.family.name for block in blocks if block.family.name.startswith("node_")}


def test_a_recording_says_what_the_machine_says(recording: Path, tmp_path: Path) -> None:
    """The recorded machine has the families that the machine itself has."""
    here = Node(Path("/"))._replace()
    assert load((*AGENT, *HOST, *LOG), "", {}, {})["path.procfs"] == "/proc"
    recorded = names_of(blocks_of(unpack(recording, tmp_path), {}))
    assert recorded == names_of(live(here))
    assert len(recorded) > 100


@pytest.mark.parametrize("archive", [*sorted(NODES.glob("*.tar.gz")), None], ids=lambda path: path and path.stem)
def test_a_recording_keeps_to_its_layout(recording: Path, archive: Path | None) -> None:
    """Files below four trees, links that stay inside their tree, and nothing about people."""
    with tarfile.open(archive or recording) as members:
        for member in members:
            tree, *rest = member.name.split("/")
            assert tree in TREES or member.name == CALLS
            assert member.isfile() or member.isdir() or member.issym(), member
            assert not set(rest) & set(PRIVATE) or "sys/fs" in member.name, member
            assert (member.uid, member.gid, member.uname) == (0, 0, "")
            if member.issym():
                target = Path("/", *Path(member.name).parent.parts, member.linkname)
                assert str(target.resolve()).startswith(f"/{tree}/"), member
