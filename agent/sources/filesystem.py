"""statvfs(3) of many mounts, where one that hangs costs only itself.

A dead NFS server or FUSE daemon keeps whoever asks for its space in the kernel, sometimes forever. Local filesystems
answer from memory and are asked directly; the others are asked on threads of their own. Who is not back in time is
given up, keeps its thread, and is not asked again until the call returns.

Source: statvfs(3). Since: always. Units: blocks of ``fragment_bytes``. Errors: per mount, never raised.
Cost: 2 us per mount; with mounts that may hang 100 us more for one thread, whatever their number.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from agent.errors import Overdue, SourceError
from agent.sources.calls import Calls, FilesystemSpace
from agent.sources.mountinfo import Mount

PATIENCE_S: Final = 1.0  # for everything that may hang, together
_NO_PROGRESS_S: Final = 0.02
# These answer from memory. overlay asks its upper layer, which is one of them.
_PROMPT_FS_TYPES: Final = """
    bcachefs bpf btrfs cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs erofs exfat ext2 ext3 ext4 f2fs
    fusectl hfsplus hugetlbfs iso9660 jfs mqueue msdos nilfs2 nsfs ntfs3 overlay proc pstore ramfs reiserfs rootfs
    securityfs selinuxfs squashfs sysfs tmpfs tracefs udf vfat xfs zfs
"""
_PROMPT: Final = frozenset(_PROMPT_FS_TYPES.split())

Answer = FilesystemSpace | SourceError


def may_hang(mounts: Sequence[Mount]) -> set[str]:
    """The mount points that only a thread of their own may ask: on a filesystem that can hang, or below one.

    To ask for a path the kernel walks through every filesystem on the way.
    """
    slow = {mount.mount_point for mount in mounts if mount.fs_type not in _PROMPT}
    below = tuple(point.rstrip("/") + "/" for point in slow)
    return slow | {mount.mount_point for mount in mounts if below and mount.mount_point.startswith(below)}


class Spaces:
    """Asks, and remembers who is stuck. Threads: ``ask`` by one at a time."""

    def __init__(self, calls: Calls, patience_s: float = PATIENCE_S) -> None:
        self._calls = calls
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._stuck: set[str] = set()

    def space(self, path: str) -> Answer:
        """What this path answers, however long it takes."""
        try:
            return self._calls.statvfs(path)
        except SourceError as error:
            return error.kept()

    def ask(self, paths: Sequence[str]) -> dict[str, Answer]:
        """Each path's answer; Overdue for those that did not give one in time, now or earlier."""
        with self._lock:
            turn = _Turn(path for path in paths if path not in self._stuck)
        if turn.pending:
            self._wait(turn)
        return {path: turn.answers.get(path) or Overdue(path, "mountpoint timeout") for path in paths}

    def _wait(self, turn: _Turn) -> None:
        """One thread asks all; when it gets nowhere, two, four, eight: a hundred dead mounts take seven steps."""
        deadline_s, answered = time.monotonic() + self._patience_s, -1
        with turn.changed:
            while turn.pending or turn.asked:
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    break
                if len(turn.answers) == answered or not turn.asked:
                    self._add_threads(turn, min(max(1, len(turn.asked)), len(turn.pending)))
                answered = len(turn.answers)
                turn.changed.wait(min(left_s, _NO_PROGRESS_S))
            turn.closed = True
            with self._lock:
                self._stuck |= turn.asked

    def _add_threads(self, turn: _Turn, number: int) -> None:
        """As many as there can be: a node may be out of PIDs. Then they are tried again until the deadline."""
        try:
            for _ in range(number):
                threading.Thread(target=self._work, args=(turn,), name="statvfs", daemon=True).start()
        except RuntimeError:
            pass

    def _work(self, turn: _Turn) -> None:
        while True:
            with turn.changed:
                if turn.closed or not turn.pending:
                    return
                path = turn.pending.popleft()
                turn.asked.add(path)
            answer = self.space(path)
            with turn.changed:
                if turn.closed:
                    with self._lock:
                        self._stuck.discard(path)
                    return
                turn.asked.discard(path)
                turn.answers[path] = answer
                if not turn.pending and not turn.asked:
                    turn.changed.notify()


class _Turn:
    """One call of ``ask``: who is to be asked, who is being asked, what they said. ``changed`` guards all of it."""

    __slots__ = ("answers", "asked", "changed", "closed", "pending")

    def __init__(self, paths: Iterable[str]) -> None:
        self.changed = threading.Condition()
        self.pending = deque(paths)
        self.asked: set[str] = set()
        self.answers: dict[str, Answer] = {}
        self.closed = False
