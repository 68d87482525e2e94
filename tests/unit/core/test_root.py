"""Reading a mounted tree."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.errors import Denied, Gone, SourceError
from agent.sources import root as root_module
from agent.sources.root import Root


def test_a_kept_file_shows_what_is_in_it_now(tmp_path: Path) -> None:
    """Reading again sees what was written in place since, longer or shorter."""
    file, root = tmp_path / "stat", Root(str(tmp_path))
    for content in (b"one", b"a much longer content" * 2000, b"", b"two"):
        with file.open("wb") as stream:
            stream.write(content)
        assert root.read("stat") == content


def test_kernel_files_longer_than_a_page_are_read_whole() -> None:
    """seq_files hand out a page at a time; /proc/kallsyms and mountinfo come whole, again and again."""
    root = Root("/proc")
    with open("/proc/self/maps", "rb") as stream:
        assert len(stream.read()) > 4096
    first = root.read("kallsyms")
    assert first.count(b"\n") > 1000
    assert root.read("kallsyms").count(b"\n") == first.count(b"\n")


def test_missing_is_gone_with_its_path(tmp_path: Path) -> None:
    """A missing file says which."""
    with pytest.raises(Gone) as caught:
        Root(str(tmp_path)).read("a/b")
    assert caught.value.path == f"{tmp_path}/a/b"


def test_errno_has_one_meaning(tmp_path: Path) -> None:
    """A directory read as a file, and a permission, are source errors, never OSError."""
    with pytest.raises(SourceError):
        Root(str(tmp_path)).read(".")
    error = root_module.from_oserror(PermissionError(13, "Permission denied"), "x")
    assert isinstance(error, Denied)


def test_kept_descriptors_are_bounded_and_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than KEPT_MAX stay open; forget and close return them."""
    monkeypatch.setattr(root_module, "KEPT_MAX", 5)
    root, before = Root(str(tmp_path)), len(os.listdir("/proc/self/fd"))
    for number in range(20):
        (tmp_path / f"d{number % 2}").mkdir(exist_ok=True)
        (tmp_path / f"d{number % 2}" / str(number)).write_text("7\n")
        assert root.attribute(f"d{number % 2}/{number}") == b"7"
    assert len(os.listdir("/proc/self/fd")) - before == 5
    root.forget("d0/")
    assert len(os.listdir("/proc/self/fd")) - before == 2
    root.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_links_are_followed_inside_the_tree(tmp_path: Path) -> None:
    """An absolute link in a tree mounted elsewhere means the tree's file, not ours; loops end."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "etc/os-release").symlink_to("../usr/lib/os-release")
    (tmp_path / "etc/localtime").symlink_to("/usr/lib/zone")
    (tmp_path / "etc/escape").symlink_to("../../../../etc/passwd")
    (tmp_path / "etc/loop").symlink_to("loop")
    root = Root(str(tmp_path))
    assert root.resolve("etc/os-release") == "usr/lib/os-release"
    assert root.resolve("etc/localtime") == "usr/lib/zone"
    assert root.resolve("etc/escape") == "etc/passwd"
    assert root.resolve("/etc//plain") == "etc/plain"
    with pytest.raises(SourceError):
        root.resolve("etc/loop")
