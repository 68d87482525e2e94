"""On which filesystem a path is."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.sources.mount_table import MountTable
from agent.sources.mountinfo import Mount
from agent.sources.root import Root


def mount(point: str, fs_type: str = "ext4", minor: str = "1") -> Mount:
    return Mount("7", minor, point, fs_type, "x", False)


@pytest.fixture
def table() -> MountTable:
    return MountTable(
        [
            mount("/"),
            mount("/var", minor="2"),
            mount("/var/lib", "nfs4", "3"),
            mount("/var/lib/x", minor="4"),
            mount("/var/log", minor="2"),
        ]
    )


@pytest.mark.parametrize(
    ("path", "point"),
    [
        ("/", "/"),
        ("/varnish", "/"),
        ("/var", "/var"),
        ("/var/a/b", "/var"),
        ("/var/lib/x/y", "/var/lib/x"),
        ("/var/lib/xy", "/var/lib"),
    ],
)
def test_the_longest_prefix_of_whole_names(table: MountTable, path: str, point: str) -> None:
    """A mount point is a directory, not a piece of text."""
    assert table.mount_point_of(path) == point


def test_what_may_hang(table: MountTable) -> None:
    """What is on a remote filesystem, or below one; and everything when nothing is known."""
    assert [path for path in ("/", "/var/a", "/var/lib/a", "/var/lib/x") if table.may_hang(path)] == [
        "/var/lib/a",
        "/var/lib/x",
    ]
    assert MountTable(()).may_hang("/")
    assert MountTable(()).mount_of("/") is None


def test_a_later_mount_covers(table: MountTable) -> None:
    """At the same place the last one is seen."""
    found = MountTable([mount("/", "ext4", "1"), mount("/", "xfs", "2")]).mount_of("/a")
    assert found is not None
    assert found.fs_type == "xfs"


def test_each_prompt_filesystem_once(table: MountTable) -> None:
    """By its shortest mount point."""
    assert table.prompt() == ["/", "/var"]


def test_our_own_table_has_the_nodes_root_before_it() -> None:
    """Where the node's cannot be read."""
    table = MountTable([mount("/", "overlay"), mount("/host", minor="2"), mount("/host/var", minor="3")], "/host")
    assert table.mount_point_of("/var/lib") == "/var"
    found = table.mount_of("/etc")
    assert found is not None
    assert found.minor == "2"


def test_links_stay_inside(tmp_path: Path) -> None:
    """Absolute and relative ones, dots, and what is not there; a loop ends; nothing is looked at that may hang."""
    table = MountTable([mount("/"), mount("/nfs", "nfs4", "2")])
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/absolute").symlink_to("/data")
    (tmp_path / "a/relative").symlink_to("../a/b/./absent")
    (tmp_path / "a/loop").symlink_to("loop")
    (tmp_path / "a/away").symlink_to("/nfs/link")
    (tmp_path / "nfs").mkdir()
    (tmp_path / "nfs/link").symlink_to("/seen")
    root = Root(str(tmp_path))
    assert table.resolve(root, "/a/absolute/x") == "/data/x"
    assert table.resolve(root, "/a/relative/../y") == "/a/b/y"
    assert table.resolve(root, "/a/../../etc/") == "/etc"
    assert table.resolve(root, "/") == "/"
    assert table.resolve(root, "/a/loop/x") == "/a/loop/x"
    assert table.resolve(root, "/a/away/x") == "/nfs/link/x"
