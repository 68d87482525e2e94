"""The filesystem collector."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agent.collectors import settings
from agent.collectors.filesystem import Filesystem
from agent.config.load import Config
from agent.errors import ConfigError, Denied, Gone, Malformed, SourceError
from agent.model import Writer
from agent.sources.calls import FilesystemSpace
from agent.sources.filesystem import Spaces
from agent.sources.host import Host
from agent.sources.root import Root

OPTIONS: dict[str, Any] = Config(list(settings())).section("collector.filesystem")
EXT4 = b"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n"
SPACE = FilesystemSpace(4096, 100, 50, 40, 1000, 900, False)

Make = Callable[..., Host]
Collect = Callable[[Any], Any]


class RealRoot:
    """Makes hosts whose root is ``/``, with only these mounts."""

    def __init__(self, make_host: Make, calls: Any) -> None:
        self.make_host, self.calls = make_host, calls
        calls.space = SPACE

    def host(self, mounts: bytes, rootfs: str = "/", file: str = "1/mountinfo") -> Host:
        made = self.make_host({f"proc/{file}": mounts})
        return Host(made.procfs, made.sysfs, Root(rootfs), made.calls)


@pytest.fixture
def node(make_host: Make, calls: Any) -> RealRoot:
    return RealRoot(make_host, calls)


def series(name: str, device: str, mountpoint: str, fstype: str, error: str = "") -> str:
    labels = f'device="{device}",mountpoint="{mountpoint}",fstype="{fstype}",device_error="{error}"'
    return f"node_filesystem_{name}{{{labels}}}"


def test_a_filesystem_is_what_statvfs_says(node: RealRoot, collect: Collect) -> None:
    """Blocks times their size; free is for root, available for everybody else."""
    samples = collect(Filesystem(node.host(EXT4), OPTIONS))
    root = ("/dev/vda", "/", "ext4")
    assert samples == {
        series("size_bytes", *root): 409600,
        series("free_bytes", *root): 204800,
        series("avail_bytes", *root): 163840,
        series("files", *root): 1000,
        series("files_free", *root): 900,
        series("purgeable_bytes", *root): 0,
        series("readonly", *root): 0,
        series("device_error", *root): 0,
        'node_filesystem_mount_info{device="/dev/vda",major="254",minor="0",mountpoint="/"}': 1,
    }


def test_a_mount_that_refuses_is_there_with_its_reason(node: RealRoot, calls: Any, collect: Collect) -> None:
    """It has no sizes, which are not zero; its reason is spelled as Go does, and the other mounts are as ever."""
    mounts = EXT4 + b"28 27 0:9 / /run2/doc ro - fuse.portal portal rw\n29 27 0:8 / /gone rw - nfs srv:/a rw\n"
    calls.spaces["/run2/doc"] = Denied("/run2/doc", "Permission denied")
    calls.spaces["/gone"] = Gone("/gone", "Stale file handle")
    samples = collect(Filesystem(node.host(mounts), OPTIONS))
    refused = ("portal", "/run2/doc", "fuse.portal", "permission denied")
    assert samples[series("device_error", *refused)] == 1
    assert samples[series("readonly", *refused)] == 1
    stale = ("srv:/a", "/gone", "nfs", "stale NFS file handle")
    assert samples[series("device_error", *stale)] == 1
    assert samples[series("device_error", "/dev/vda", "/", "ext4")] == 0
    sizes = [series for series in samples if series.startswith("node_filesystem_size_bytes")]
    assert sizes == [series("size_bytes", "/dev/vda", "/", "ext4")]
    assert samples.text.count("node_filesystem_mount_info{") == 1


def test_pseudo_filesystems_are_left_out(node: RealRoot, collect: Collect) -> None:
    """By type or by mount point, with node_exporter's defaults."""
    mounts = (
        EXT4
        + b"22 27 0:21 / /proc rw - proc proc rw\n"
        + b"23 27 0:5 / /a rw - cgroup2 c rw\n"
        + b"24 27 0:6 / /dev/x rw - tmpfs t rw\n"
    )
    samples = collect(Filesystem(node.host(mounts), OPTIONS))
    assert samples.text.count("node_filesystem_size_bytes{") == 1


def test_includes_replace_the_default_excludes(node: RealRoot, collect: Collect) -> None:
    """Of the mount points and of the types, each by itself."""
    mounts = EXT4 + b"22 27 0:21 / /proc rw - proc proc rw\n"
    given = OPTIONS | {"mount-points-include": "^/proc$", "fs-types-include": "^proc$"}
    samples = collect(Filesystem(node.host(mounts), given))
    assert samples[series("size_bytes", "proc", "/proc", "proc")] == 409600
    assert 'mountpoint="/"' not in samples.text


def test_an_include_and_an_exclude_exclude_each_other(node: RealRoot) -> None:
    """When somebody gave both."""
    with pytest.raises(ConfigError, match="fs-types-include"):
        Filesystem(node.host(EXT4), OPTIONS | {"fs-types-include": "ext4", "fs-types-exclude": "xfs"})


def test_the_later_of_two_equal_mounts_wins(node: RealRoot, collect: Collect) -> None:
    """It covers the earlier one, and statvfs answers for it; both are told as mounted, as node_exporter does."""
    mounts = b"30 27 0:44 / /over rw - tmpfs t rw\n31 30 0:45 / /over ro - tmpfs t rw\n"
    samples = collect(Filesystem(node.host(mounts), OPTIONS))
    assert samples[series("readonly", "t", "/over", "tmpfs")] == 1
    assert samples.text.count("node_filesystem_readonly{") == 1
    for minor in (44, 45):
        mounted = f'node_filesystem_mount_info{{device="t",major="0",minor="{minor}",mountpoint="/over"}}'
        assert samples[mounted] == 1


def test_escapes_are_undone_in_mount_points_but_not_in_devices(node: RealRoot, calls: Any, collect: Collect) -> None:
    """The label and the path that is asked for are the real ones; a device is labelled as node_exporter does it."""
    calls.space = None
    calls.spaces["/a b\\c"] = SPACE
    samples = collect(Filesystem(node.host(rb"30 27 0:44 / /a\040b\134c rw - tmpfs x\040y rw"), OPTIONS))
    assert samples[series("size_bytes", r"x\\040y", r"/a b\\c", "tmpfs")] == 409600


def test_a_mount_point_that_is_no_text_can_be_shown(node: RealRoot, calls: Any, collect: Collect) -> None:
    """It is asked for by its bytes and shown with replacement characters."""
    calls.space = None
    calls.spaces["/\udcff"] = SPACE
    samples = collect(Filesystem(node.host(b"30 27 0:44 / /\xff rw - tmpfs t rw"), OPTIONS))
    assert samples[series("size_bytes", "t", "/\ufffd", "tmpfs")] == 409600


def test_the_nodes_root_is_mounted_elsewhere(node: RealRoot, calls: Any, collect: Collect) -> None:
    """PID 1's mount points are the node's, and are asked for below the root; of our own that prefix is taken off."""
    calls.space = None
    calls.spaces["/host/"] = calls.spaces["/host/data"] = calls.spaces["/host/hostel"] = SPACE
    host = node.host(EXT4 + b"28 27 8:1 / /data rw - xfs /dev/sda1 rw\n", "/host")
    samples = collect(Filesystem(host, OPTIONS))
    assert samples[series("size_bytes", "/dev/sda1", "/data", "xfs")] == 409600
    assert samples[series("size_bytes", "/dev/vda", "/", "ext4")] == 409600


def test_our_own_mounts_serve_without_those_of_pid_1(node: RealRoot, calls: Any, collect: Collect) -> None:
    """What is not below the node's root is ours alone, as a pod's /etc/hosts is. The prefix ends at a slash."""
    calls.space = SPACE
    mounts = (
        b"27 1 254:0 / /host rw - ext4 /dev/vda rw\n28 27 8:1 / /host/data rw - xfs /dev/sda1 rw\n"
        b"29 27 8:2 / /hostel rw - xfs /dev/sda2 rw\n30 27 254:0 /hosts /etc/hosts rw - ext4 /dev/vda rw\n"
    )
    samples = collect(Filesystem(node.host(mounts, "/host", "self/mountinfo"), OPTIONS))
    sizes = {series for series in samples if series.startswith("node_filesystem_size_bytes")}
    assert sizes == {
        series("size_bytes", "/dev/vda", "/", "ext4"),
        series("size_bytes", "/dev/sda1", "/data", "xfs"),
    }


def test_a_mount_that_hangs_costs_only_itself(
    node: RealRoot, calls: Any, collect: Collect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so in node_exporter's words; local filesystems are asked as ever."""
    revived = threading.Event()
    mounts = EXT4 + b"28 27 0:9 / /nfs rw - nfs4 srv:/a rw\n29 27 0:10 / /fuse rw - fuse x rw\n"
    host = node.host(mounts)

    def statvfs(path: str) -> FilesystemSpace:
        if path == "/nfs":
            revived.wait()
        return SPACE

    monkeypatch.setattr(calls, "statvfs", statvfs)
    collector = Filesystem(host, OPTIONS)
    monkeypatch.setattr(collector, "_spaces", Spaces(host.calls, patience_s=1.0))
    try:
        samples = collect(collector)
    finally:
        revived.set()
    dead = ("srv:/a", "/nfs", "nfs4", "mountpoint timeout")
    assert samples[series("device_error", *dead)] == 1
    assert samples[series("size_bytes", "/dev/vda", "/", "ext4")] == 409600
    assert samples[series("size_bytes", "x", "/fuse", "fuse")] == 409600


def test_mountinfo_is_parsed_again_only_when_it_changes(node: RealRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing is mounted the label sets are the same objects; a new mount and a new error are seen at once."""
    collector = Filesystem(node.host(EXT4), OPTIONS)

    def keys() -> Iterator[object]:
        out = Writer()
        collector.collect(out)
        return iter([block.keys for block in out.blocks])

    before = list(keys())
    assert all(first is second for first, second in zip(before, keys(), strict=True))
    node.host(EXT4 + b"28 27 8:1 / /data rw - xfs /dev/sda1 rw\n")
    assert [len(found) for found in keys()] == [2] * 9  # type: ignore[arg-type]
    node.calls.spaces["/data"] = SourceError("/data", "Input/output error")
    assert next(keys())[1] == ("/dev/sda1", "/data", "xfs", "input/output error")  # type: ignore[index]


def test_mounts_that_cannot_be_read_are_an_error_of_the_collector(
    node: RealRoot, make_host: Make, collect: Collect
) -> None:
    """A missing file is Gone, a garbled one Malformed, each time again."""
    with pytest.raises(Gone):
        collect(Filesystem(make_host({}), OPTIONS))
    collector = Filesystem(node.host(b"garbage\n"), OPTIONS)
    for _ in range(2):
        with pytest.raises(Malformed):
            collect(collector)
