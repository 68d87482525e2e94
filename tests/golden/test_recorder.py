"""The recorder: what it takes from a machine is enough to say the same about it elsewhere, and no more than that."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from agent.config.load import Config
from tests.tools.golden import blocks_of, config_of, configured
from tests.tools.recorded import CALLS, NODES, TREES, Directory, Link, pack, unpack

RECORDER = Path(__file__).resolve().parents[1] / "tools" / "record_node.py"
PRIVATE = {"cmdline", "environ", "serial", "uuid", "maps", "fd", "unix"}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This machine, recorded by an interpreter that sees no installed packages: no psutil."""
    out = tmp_path_factory.mktemp("recording") / "here.tar.gz"
    subprocess.run([sys.executable, "-S", RECORDER, out], check=True, timeout=60, stdout=subprocess.DEVNULL)
    return out


def families(config: Config) -> set[str]:
    return {block.family.name for block in blocks_of(config) if block.family.name.startswith("node_")}


def test_a_recording_says_what_the_machine_says(recording: Path, tmp_path: Path) -> None:
    """The recorded machine has the families that the machine itself has."""
    recorded = families(config_of(unpack(recording, tmp_path), {}))
    assert recorded == families(configured({}))
    assert len(recorded) > 100


@pytest.mark.parametrize("archive", [*sorted(NODES.glob("*.tar.gz")), None], ids=lambda path: path and path.stem)
def test_a_recording_keeps_to_its_layout(recording: Path, archive: Path | None) -> None:
    """Files below four trees, links that stay inside their tree, and nothing about people."""
    with tarfile.open(archive or recording) as members:
        for member in members:
            tree, *rest = member.name.split("/")
            assert tree in TREES or member.name == CALLS
            assert member.isfile() or member.isdir() or member.issym(), member
            assert not PRIVATE & set(rest), member
            assert (member.uid, member.gid, member.uname) == (0, 0, "")
            if member.issym():
                target = Path("/", *Path(member.name).parent.parts, member.linkname)
                assert str(target.resolve()).startswith(f"/{tree}/"), member


def test_what_is_packed_decides_the_bytes(tmp_path: Path) -> None:
    """The same members make the same archive, in whatever order they were found, and are read back as they were."""
    members = {"sys/b": b"1\n", "sys/a": Link("b"), "sys/class/empty": Directory()}
    calls = {"time_s": 5.5}
    pack(tmp_path / "one.tar.gz", members, calls)
    pack(tmp_path / "two.tar.gz", dict(reversed(members.items())), calls)
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()
    (tmp_path / "node").mkdir()
    node = unpack(tmp_path / "one.tar.gz", tmp_path / "node")
    assert (node.directory / "sys/a").read_bytes() == b"1\n"
    assert (node.directory / "sys/a").is_symlink()
    assert (node.directory / "sys/class/empty").is_dir()
    assert [path.name for path in node.files()] == ["b"]
