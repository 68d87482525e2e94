"""statvfs of mounts that may hang."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import cast

import pytest

from agent.errors import Denied, Overdue, SourceError
from agent.sources.calls import Calls, FilesystemSpace
from agent.sources.filesystem import Spaces, may_hang
from agent.sources.mountinfo import Mount

SPACE = FilesystemSpace(4096, 100, 50, 40, 1000, 900, False)
PATIENCE_S = 1.0


def mount(point: str, fs_type: str) -> Mount:
    return Mount("0", "1", point, fs_type, "x", False)


class Kernel:
    """statvfs that hangs for some paths until ``revive``. ``asked`` are all calls, ``returned`` counts revived ones."""

    def __init__(self, *dead: str) -> None:
        self.dead = set(dead)
        self.asked: list[str] = []
        self.returned = threading.Semaphore(0)
        self._alive = threading.Event()

    def statvfs(self, path: str) -> FilesystemSpace:
        self.asked.append(path)
        if path in self.dead:
            self._alive.wait()
            self.returned.release()
        if path == "/denied":
            raise Denied(path, "Permission denied")
        return SPACE

    def revive(self) -> None:
        self.dead.clear()
        self._alive.set()


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    kernel = Kernel("/dead")
    yield kernel
    kernel.revive()


def spaces_of(kernel: Kernel) -> Spaces:
    return Spaces(cast("Calls", kernel), PATIENCE_S)


def test_an_error_is_an_answer(kernel: Kernel) -> None:
    """Of a mount that is asked directly, and of one that is asked on a thread."""
    spaces = spaces_of(kernel)
    assert spaces.space("/a") == SPACE
    assert isinstance(spaces.space("/denied"), Denied)
    answers = spaces.ask(["/a", "/denied"])
    assert answers["/a"] == SPACE
    assert isinstance(answers["/denied"], Denied)


def test_one_that_hangs_costs_only_itself(kernel: Kernel) -> None:
    """The others answer, whether they come before or after it."""
    answers = spaces_of(kernel).ask(["/a", "/dead", "/b"])
    assert (answers["/a"], answers["/b"]) == (SPACE, SPACE)
    dead = answers["/dead"]
    assert isinstance(dead, Overdue)
    assert dead.detail == "mountpoint timeout"


def test_a_stuck_one_is_not_asked_again_until_it_returns(kernel: Kernel) -> None:
    """One call and one thread per dead mount, however often it is looked at; then it is as good as new."""
    spaces = spaces_of(kernel)
    spaces.ask(["/dead"])
    assert isinstance(spaces.ask(["/dead"])["/dead"], Overdue)
    assert kernel.asked == ["/dead"]
    kernel.revive()
    assert kernel.returned.acquire(timeout=10)
    for thread in threading.enumerate():
        if thread.name == "statvfs":
            thread.join(10)
    assert spaces.ask(["/dead"])["/dead"] == SPACE


def test_many_dead_mounts_do_not_starve_a_live_one() -> None:
    """Threads are added until everyone was asked."""
    dead = [f"/dead{n}" for n in range(20)]
    kernel = Kernel(*dead)
    try:
        answers = Spaces(cast("Calls", kernel), 2.0 * PATIENCE_S).ask([*dead, "/a"])
    finally:
        kernel.revive()
    assert answers["/a"] == SPACE
    assert all(isinstance(answers[path], SourceError) for path in dead)


def test_without_threads_they_are_overdue(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node out of PIDs costs the mounts that may hang, not all filesystems; each is asked when there is a thread."""

    def no_thread(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    spaces = spaces_of(kernel)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        assert isinstance(spaces.ask(["/a"])["/a"], Overdue)
    assert kernel.asked == []
    assert spaces.ask(["/a"])["/a"] == SPACE


def test_healthy_mounts_share_one_thread(kernel: Kernel) -> None:
    """Nobody starts a thread per mount that answers."""
    started = []

    class Counting(Kernel):
        def statvfs(self, path: str) -> FilesystemSpace:
            started.append(threading.get_ident())
            return SPACE

    spaces_of(Counting()).ask([f"/{n}" for n in range(50)])
    assert len(started) == 50
    assert len(set(started)) <= 2


def test_local_filesystems_cannot_hang_unless_they_are_below_one_that_can() -> None:
    """On the way to a path the kernel walks through everything above it."""
    mounts = [
        mount("/", "ext4"),
        mount("/nfs", "nfs4"),
        mount("/nfs/inner", "tmpfs"),
        mount("/nfsnot", "xfs"),
        mount("/fuse", "fuse.sshfs"),
    ]
    assert may_hang(mounts) == {"/nfs", "/nfs/inner", "/fuse"}
    assert may_hang([mount("/", "virtiofs"), mount("/a", "ext4")]) == {"/", "/a"}
    assert may_hang([mount("/", "overlay"), mount("/a", "tmpfs")]) == set()
