"""Where nodefs and imagefs are found, and when they are looked for again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.eviction.locator import Locator
from agent.eviction.places import Place, Places
from agent.sources.calls import FilesystemSpace
from agent.sources.filesystem import Spaces
from agent.sources.host import Host
from agent.sources.kubelet.slot import Document, Kubelet
from agent.sources.kubelet.summary import Filesystem, NodeStats, Summary

MakeHost = Callable[..., Host]
ROOT = FilesystemSpace(4096, 1000, 600, 500, 100, 50, False)
DATA = FilesystemSpace(4096, 2000, 600, 500, 200, 50, False)
IMAGES = FilesystemSpace(4096, 3000, 600, 500, 300, 50, False)
TABLE = """\
1 0 254:0 / / rw - ext4 /dev/vda rw
2 1 0:21 / /proc rw - proc proc rw
3 1 7:0 / /data rw - ext4 /dev/loop0 rw
4 1 7:1 / /store rw - ext4 /dev/loop1 rw
5 3 7:1 /x /data/images rw - ext4 /dev/loop1 rw
"""


def said_of(space: FilesystemSpace, **changes: int) -> Filesystem:
    size = space.fragment_bytes
    said = Filesystem(0.0, space.blocks_available * size, space.blocks * size, 0, space.files_free, space.files, 0)
    return said._replace(**changes)


def kubelet_of(fs: Filesystem | None, image_fs: Filesystem | None, container_fs: Filesystem | None = None) -> Kubelet:
    stats = NodeStats("n", None, None, None, fs, image_fs, container_fs or image_fs, None, ())
    return Kubelet(summary=Document(Summary(stats, ()), 0.0, 0.0))


class Scene:
    """A node with these filesystems, by path."""

    def __init__(self, make_host: MakeHost, calls: Any) -> None:
        self.host = make_host({"proc/1/mountinfo": TABLE})
        self.calls = calls

    def hold(self, spaces: dict[str, FilesystemSpace]) -> None:
        self.calls.spaces = {f"{self.host.rootfs.path}{path}": space for path, space in spaces.items()}

    def locator(self, root_dir: str = "", image_dir: str = "") -> Locator:
        return Locator(self.host, Spaces(self.calls), root_dir, image_dir)

    def find(self, root_dir: str = "", image_dir: str = "") -> Places:
        return self.locator(root_dir, image_dir).places(0.0)


@pytest.fixture
def scene(make_host: MakeHost, calls: Any) -> Scene:
    scene = Scene(make_host, calls)
    scene.hold({"/": ROOT, "/data": DATA, "/store": IMAGES})
    return scene


def test_settings_come_first(scene: Scene) -> None:
    """Before all that the kubelet says, and whatever its summary says; another device is a filesystem of its own."""
    scene.host.kubelet = kubelet_of(said_of(ROOT), said_of(ROOT))
    locator = scene.locator("/data/kubelet", "/data/images/containerd")
    locator.tell({"root-dir": "/a"}, {"root-dir": "/b"})
    places = locator.places(0.0)
    assert places.nodefs == Place("/data/kubelet", "7:0", "/data", "ext4", "--kubelet.root-dir")
    assert places.imagefs == Place("/data/images/containerd", "7:1", "/data/images", "ext4", "--runtime.image-dir")
    assert places.containerfs == places.imagefs
    assert places.dedicated is True
    assert places.errors == {}


@pytest.mark.parametrize(
    ("flagz", "command_line", "path", "how"),
    [
        ({"root-dir": "/data/k"}, {"root-dir": "/b"}, "/data/k", "flagz"),
        (None, {"root-dir": "/data/k"}, "/data/k", "command line"),
        ({}, {}, "/", "its usual place"),
    ],
)
def test_then_what_the_kubelet_was_told(
    scene: Scene, flagz: dict[str, str] | None, command_line: dict[str, str], path: str, how: str
) -> None:
    """flagz, then its command line, then what distributions do."""
    locator = scene.locator()
    locator.tell(flagz, command_line)
    nodefs = locator.places(0.0).nodefs
    assert nodefs is not None
    assert (nodefs.path, nodefs.how) == (path, how)


def test_a_flag_that_is_known_late_is_obeyed_at_once(scene: Scene) -> None:
    """flagz answers only some time after the agent started."""
    locator = scene.locator()
    first = locator.places(0.0)
    locator.tell(None, {})
    assert locator.places(1.0) is first
    locator.tell({"root-dir": "/data"}, {})
    assert locator.places(2.0).nodefs == Place("/data", "7:0", "/data", "ext4", "flagz")


def test_known_directories(scene: Scene) -> None:
    """Those that exist; the more particular before the more general."""
    scene.hold({"/": ROOT, "/var/lib/kubelet": ROOT, "/var/lib/containerd": ROOT, "/var/lib/docker": ROOT})
    places = scene.find()
    assert places.nodefs is not None
    assert places.imagefs is not None
    assert (places.nodefs.path, places.imagefs.path) == ("/var/lib/kubelet", "/var/lib/containerd")
    assert places.dedicated is False


def test_nothing_known_is_the_nodes_own(scene: Scene) -> None:
    """Images are then taken to be where everything is."""
    places = scene.find()
    assert places.imagefs == Place("/", "254:0", "/", "ext4", "nodefs")
    assert places.dedicated is False


def test_a_guess_must_be_what_the_kubelet_speaks_of(scene: Scene) -> None:
    """/var/lib/containerd is not it: of all filesystems one is, by its shortest mount point."""
    scene.hold({"/": ROOT, "/data": DATA, "/store": IMAGES, "/var/lib/containerd": ROOT})
    scene.host.kubelet = kubelet_of(said_of(DATA, available_bytes=1), said_of(IMAGES, available_bytes=1))
    places = scene.find()
    assert places.nodefs == Place("/data", "7:0", "/data", "ext4", "summary")
    assert places.imagefs == Place("/store", "7:1", "/store", "ext4", "summary")


@pytest.mark.parametrize(
    ("spaces", "reason"),
    [
        ({"/": ROOT, "/data": DATA, "/store": DATA}, "2 filesystems fit"),
        ({"/": ROOT}, "no filesystem fits"),
        ({"/": ROOT, "/data": DATA._replace(files=201)}, "no filesystem fits"),
        ({"/": ROOT, "/data": DATA._replace(blocks=2001)}, "no filesystem fits"),
    ],
)
def test_no_place_rather_than_a_wrong_one(scene: Scene, spaces: dict[str, FilesystemSpace], reason: str) -> None:
    """Where none or more than one could be meant, there is none, and the reason names the setting that helps."""
    scene.hold(spaces)
    scene.host.kubelet = kubelet_of(said_of(ROOT), said_of(DATA))
    places = scene.find()
    assert (places.imagefs, places.containerfs) == (None, None)
    assert places.nodefs is not None
    assert reason in str(places.errors["imagefs"])
    assert "--runtime.image-dir" in str(places.errors["imagefs"])
    assert places.dedicated is True  # the kubelet's own figures tell


def test_xfs_makes_inodes_as_it_needs_them(make_host: MakeHost, calls: Any) -> None:
    """So their number is no mark of it; its size is."""
    scene = Scene(make_host, calls)
    make_host({"proc/1/mountinfo": TABLE.replace("/store rw - ext4", "/store rw - xfs")})
    scene.hold({"/": ROOT, "/store": IMAGES})
    scene.host.kubelet = kubelet_of(said_of(ROOT), said_of(IMAGES, inodes=777))
    imagefs = scene.find().imagefs
    assert imagefs is not None
    assert imagefs.path == "/store"


def test_writable_layers_apart_from_images(scene: Scene) -> None:
    """Where the kubelet tells two filesystems, writable layers are on nodefs."""
    same = scene.find("/data", "/store")
    assert same.containerfs == same.imagefs
    scene.host.kubelet = kubelet_of(said_of(DATA), said_of(IMAGES), said_of(DATA))
    split = scene.find("/data", "/store")
    assert split.containerfs == split.nodefs != split.imagefs


def test_symbolic_links_are_the_nodes(make_host: MakeHost, calls: Any) -> None:
    """A link in the node's tree leads to a path in the node's tree, and so to the right filesystem."""
    scene = Scene(make_host, calls)
    make_host({"root/var/lib/kubelet": Path("/data/kubelet")})
    scene.hold({"/": ROOT, "/data/kubelet": DATA})
    assert scene.find().nodefs == Place("/data/kubelet", "7:0", "/data", "ext4", "its usual place")


def test_without_a_mount_table(make_host: MakeHost, calls: Any) -> None:
    """Nothing is known of devices, and everything may hang; space is told all the same."""
    scene = Scene(make_host, calls)
    (Path(scene.host.procfs.path) / "1/mountinfo").unlink()
    scene.hold({"/": ROOT, "/var/lib/containerd": IMAGES})
    places = scene.find()
    assert places.nodefs == Place("/", "", "", "", "its usual place")
    assert places.imagefs == Place("/var/lib/containerd", "", "", "", "its usual place")
    assert places.dedicated is None


def test_when_they_are_looked_at_again(scene: Scene, make_host: MakeHost) -> None:
    """Every minute; within 10 s of a change of the mount table; at once when the kubelet first tells."""
    locator = scene.locator()
    first = locator.places(0.0)
    assert locator.places(59.0) is first
    second = locator.places(60.0)
    assert second is not first
    make_host({"proc/1/mountinfo": TABLE + "9 1 7:9 / /more rw - ext4 /dev/loop9 rw\n"})
    assert locator.places(61.0) is second
    third = locator.places(71.0)
    assert third is not second
    scene.host.kubelet = kubelet_of(said_of(ROOT), said_of(ROOT))
    fourth = locator.places(72.0)
    assert fourth is not third
    assert locator.places(73.0) is fourth


def test_for_people() -> None:
    """One line with all that matters."""
    assert Place("/k", "7:0", "/", "ext4", "flagz").text() == "/k (flagz, ext4 mounted at /)"
    assert Place("/k", "", "", "", "default").text() == "/k (default)"
