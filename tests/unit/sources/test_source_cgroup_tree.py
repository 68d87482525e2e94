"""Pods and containers among the cgroup directories."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.errors import Absent
from agent.sources.cgroup.hierarchy import read_hierarchy
from agent.sources.cgroup.tree import Tree, container_id, kubepods_of, pod_uid
from agent.sources.host import Host
from agent.sources.root import Root

MakeHost = Callable[..., Host]
A, B, C = ("a" * 64, "b" * 64, "c" * 64)
UID = "11111111-aaaa-4bbb-8ccc-000000000001"
UNDERSCORED = UID.replace("-", "_")
V2 = {"sys/fs/cgroup/cgroup.controllers": "cpu memory"}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (A, A),
        (f"crio-{A}", A),
        (f"cri-containerd-{A}.scope", A),
        (f"crio-{A}.scope", A),
        (f"docker-{A}.scope", A),
        (f"crio-conmon-{A}.scope", ""),
        (f"crio-conmon-{A}", ""),
        (A[1:], ""),
        (f"x{A}", ""),
        ("g" * 64, ""),
        ("container", ""),
        ("", ""),
        (f"\udcff-{A}", ""),
        (f"\x1b[2J-{A}", ""),
    ],
)
def test_leaf_names(name: str, found: str) -> None:
    """Every runtime's way to name a container's cgroup, and what is none."""
    assert container_id(name) == found


@pytest.mark.parametrize(
    ("name", "parent", "found"),
    [
        (f"pod{UID}", "burstable", UID),
        ("pod5aec0c3c7a78fd6d453df4c47fb6d52c", "kubepods", "5aec0c3c7a78fd6d453df4c47fb6d52c"),
        (f"kubepods-burstable-pod{UNDERSCORED}.slice", "kubepods-burstable.slice", UID),
        (f"kubepods-pod{UNDERSCORED}.slice", "kubepods.slice", UID),
        (f"a-kubepods-pod{UNDERSCORED}.slice", "a-kubepods.slice", UID),
        ("kubepods-burstable.slice", "kubepods.slice", ""),
        ("burstable", "kubepods", ""),
        ("pod\udcff", "kubepods", ""),
        ("kubepods-pod\udcff.slice", "kubepods.slice", ""),
    ],
)
def test_pod_names(name: str, parent: str, found: str) -> None:
    """The uid as the API spells it, by both drivers; static pods have 32 hex digits."""
    assert pod_uid(name, parent) == found


@pytest.mark.parametrize(
    ("root", "cgroupfs", "systemd"),
    [
        ("", "kubepods", "kubepods.slice"),
        ("/", "kubepods", "kubepods.slice"),
        ("/rkube", "rkube/kubepods", "rkube.slice/rkube-kubepods.slice"),
        ("/a/b", "a/b/kubepods", "a.slice/a-b.slice/a-b-kubepods.slice"),
        ("/my-root", "my-root/kubepods", "my_root.slice/my_root-kubepods.slice"),
    ],
)
def test_cgroup_root(root: str, cgroupfs: str, systemd: str) -> None:
    """A cgroup root goes before kubepods, and with systemd into its name."""
    assert kubepods_of(root) == (cgroupfs, systemd)


def make(top: Path, *paths: str) -> None:
    for path in paths:
        (top / path).mkdir(parents=True)


def scanned(tree: Tree) -> list[tuple[str, str, str]]:
    return [(one.pod_uid, one.container_id[0], one.path) for one in tree.scan().containers]


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return tmp_path / "sys/fs/cgroup"


def test_systemd_driver_on_v2(make_host: MakeHost, top: Path) -> None:
    """Guaranteed pods are directly below kubepods; a child of a container, as crun makes one, is no container."""
    host = make_host(V2)
    burstable = f"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UNDERSCORED}.slice"
    guaranteed = "kubepods.slice/kubepods-pod22222222.slice"
    make(top, f"{burstable}/crio-{A}.scope/container", f"{burstable}/crio-conmon-{B}.scope", f"{guaranteed}/{C}")
    scan = Tree(host).scan()
    assert [(pod.uid, pod.qos, pod.path) for pod in scan.pods] == [
        ("22222222", "guaranteed", f"/{guaranteed}"),
        (UID, "burstable", f"/{burstable}"),
    ]
    assert [(one.pod_uid, one.path) for one in scan.containers] == [
        ("22222222", f"/{guaranteed}/{C}"),
        (UID, f"/{burstable}/crio-{A}.scope"),
    ]


def test_cgroupfs_driver_on_v1_below_a_root(make_host: MakeHost, top: Path) -> None:
    """Found where the kubelet was told to put them."""
    host = make_host({})
    make(
        top,
        f"memory/k/kubepods/besteffort/pod{UID}/{A}",
        f"memory/k/kubepods/pod7/{B}",
        "cpu,cpuacct",
        "memory/kubepods",
    )
    tree = Tree(host, "/k")
    assert scanned(tree) == [("7", "b", f"/k/kubepods/pod7/{B}"), (UID, "a", f"/k/kubepods/besteffort/pod{UID}/{A}")]
    assert tree.hierarchy.directories["cpuacct"] == tree.hierarchy.directories["cpu"] == "fs/cgroup/cpu,cpuacct"


def test_where_kubepods_is(make_host: MakeHost, top: Path) -> None:
    """Its path below the controller's root, without a scan; Absent where there is none."""
    host = make_host(V2)
    with pytest.raises(Absent):
        Tree(host).kubepods()
    make(top, "a.slice/a-kubepods.slice")
    assert Tree(host, "/a").kubepods() == "/a.slice/a-kubepods.slice"


def test_a_root_that_nobody_named_is_searched(make_host: MakeHost, top: Path) -> None:
    """A kubelet in a container has its kubepods further down; a look elsewhere later is obeyed."""
    host = make_host(V2)
    make(top, f"kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod7.slice/{A}", f"other/kubepods/pod8/{B}")
    tree = Tree(host)
    assert [uid for uid, _, _ in scanned(tree)] == ["7"]
    tree.look_below("/other")
    assert [uid for uid, _, _ in scanned(tree)] == ["8"]


def test_the_search_is_not_made_at_every_scan(make_host: MakeHost, top: Path, calls: object) -> None:
    """A node without pods is searched once a minute."""
    host = make_host(V2)
    tree = Tree(host)
    with pytest.raises(Absent):
        tree.scan()
    make(top, f"deep/kubepods/pod7/{A}")
    with pytest.raises(Absent):
        tree.scan()
    calls.now_monotonic_s += 61  # type: ignore[attr-defined]
    assert scanned(tree) == [("7", "a", f"/deep/kubepods/pod7/{A}")]


def test_unchanged_groups_are_the_same_objects(make_host: MakeHost, top: Path) -> None:
    """A scan that saw nothing new is the object of before; else only what is new is."""
    host = make_host(V2)
    make(top, f"kubepods/pod7/{A}")
    tree = Tree(host)
    first = tree.scan()
    assert tree.scan() is first
    make(top, f"kubepods/pod7/{B}")
    second = tree.scan()
    assert second is not first
    assert second.containers[0] is first.containers[0]
    assert [one.container_id for one in second.containers] == [A, B]


def test_a_recreated_cgroup_is_another(make_host: MakeHost, top: Path) -> None:
    """The same path with another inode is a new group, though the number of directories is the same."""
    host = make_host(V2)
    make(top, f"kubepods/pod7/{A}")
    tree = Tree(host)
    [first] = tree.scan().containers
    path = top / f"kubepods/pod7/{A}"
    path.rename(path.with_name("kept-so-that-its-inode-is-not-given-again"))
    make(top, f"kubepods/pod7/{A}")
    path.with_name("kept-so-that-its-inode-is-not-given-again").rename(top / "elsewhere")
    [second] = tree.scan().containers
    assert (second.path, second.inode != first.inode) == (first.path, True)


def test_one_for_another_at_once(make_host: MakeHost, top: Path) -> None:
    """A container that came while another went is seen, though the number of directories is the same."""
    host = make_host(V2)
    make(top, f"kubepods/pod7/{A}", "kubepods/burstable/pod8")
    tree = Tree(host)
    tree.scan()
    (top / f"kubepods/pod7/{A}").rename(top / f"kubepods/pod7/{B}")
    (top / "kubepods/burstable/pod8").rename(top / "kubepods/burstable/pod9")
    assert [one.container_id for one in tree.scan().containers] == [B]
    assert [pod.uid for pod in tree.scan().pods] == ["7", "9"]


def test_what_vanished_is_gone_at_once(make_host: MakeHost, top: Path) -> None:
    """Container, pod, and in the end the kubepods."""
    host = make_host(V2)
    make(top, f"kubepods/pod7/{A}", f"kubepods/pod8/{B}")
    tree = Tree(host)
    tree.scan()
    os.rmdir(top / f"kubepods/pod7/{A}")
    assert [one.container_id for one in tree.scan().containers] == [B]
    os.rmdir(top / "kubepods/pod7")
    assert [pod.uid for pod in tree.scan().pods] == ["8"]
    (top / "kubepods").rename(top / "gone")
    with pytest.raises(Absent):
        tree.scan()


def test_hierarchies(tmp_path: Path) -> None:
    """v2 has cgroup.controllers at its root; a hybrid is v1; nothing mounted is Absent."""
    for name in ("memory", "cpu,cpuacct", "unified", "systemd"):
        (tmp_path / "hybrid/fs/cgroup" / name).mkdir(parents=True)
    (tmp_path / "hybrid/fs/cgroup/unified/cgroup.controllers").write_text("")
    hybrid = read_hierarchy(Root(f"{tmp_path}/hybrid"))
    assert (hybrid.version, hybrid.main) == (1, "fs/cgroup/memory")
    assert set(hybrid.directories) == {"memory", "cpu", "cpuacct"}
    for name in ("none", "empty/fs/cgroup"):
        (tmp_path / name).mkdir(parents=True)
        with pytest.raises(Absent):
            read_hierarchy(Root(f"{tmp_path}/{name.partition('/')[0]}"))
