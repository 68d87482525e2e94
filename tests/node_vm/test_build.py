"""How the virtual machine is built, without building it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.node_vm import build
from tests.tools import peers


def test_the_recipe_changes_with_what_goes_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another file, another content or another name is another machine; the same is the same."""
    copy = tmp_path / "rootfs"
    shutil.copytree(build.ROOTFS, copy, symlinks=True)
    before = build.recipe()
    monkeypatch.setattr(build, "ROOTFS", copy)
    assert build.recipe() == before
    (copy / "opt/more").write_text("1")
    more = build.recipe()
    (copy / "opt/more").write_text("2")
    assert len({before, more, build.recipe()}) == 3
    (copy / "opt/more").rename(copy / "opt/less")
    assert build.recipe() not in (before, more)


def test_a_machine_is_where_the_recipe_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found when it is there, and building it again does nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build.path() is None
    folder = tmp_path / "headroom/node-vm" / build.recipe()
    folder.mkdir(parents=True)
    assert build.path() == folder
    assert build.build() == folder


def test_missing_tools_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install is said, and nothing is left in the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool in ("zstd", "mke2fs") else f"/bin/{tool}")
    with pytest.raises(peers.PeerError, match="needs mke2fs, zstd"):
        build.build()
    assert [file.name for file in (tmp_path / "headroom/node-vm").iterdir()] == ["lock"]


@pytest.mark.needs("zstd")
def test_the_kernel_is_found_in_its_image() -> None:
    """The first thing in it that unpacks to an ELF file, whatever looks like one before."""
    elf = b"\x7fELF" + b"kernel" * 100
    packed = subprocess.run(["zstd", "-q"], input=elf, capture_output=True, check=True).stdout
    assert build._unpacked(b"setup" + build.ZSTD_MAGIC + b"garbage" + packed + b"rest") == elf
    with pytest.raises(peers.PeerError, match="zstd"):
        build._unpacked(b"nothing")
