"""A cgroup's directory, kept open, and its small files, opened for one read each.

Measured for one file of a container: by its whole path 8 to 11 us, below a kept directory 5.5 us, on a kept descriptor
of its own 1 us. But a kept file costs 4 KiB of kernel memory (its seq_file page), a container has a dozen of them, and
all that it may cost us is 32 KiB, of which 17 are the kernel's names and inodes of the files we looked at. A kept
directory costs next to nothing. So directories are kept, and of the files memory.stat and, on v1, cpuacct.stat: the
dearest to open of those that every collection reads, and together with all else 27 KiB a container.

A kept directory also tells a recreated cgroup of the same name from the one that was here: the old one answers ENOENT.
At most half of the process's descriptors are taken; what is over that is opened by its path each time.
"""

from __future__ import annotations

import os
import resource
from functools import cache
from typing import Final

from agent.errors import from_oserror

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_SMALL = 448  # with its header, what Python's own allocator serves
_CHUNK = 8192
WANTED: Final = 1 << 14  # a thousand containers on cgroup v1
_kept = 0


@cache
def kept_max() -> int:
    """Half of the descriptors that we may have. The soft limit, often 1024, is raised first, as far as is of use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return (soft if soft != resource.RLIM_INFINITY else WANTED) // 2


class Directory:
    """One directory. Threads: reads may run at once; it is closed by whoever lets go of it last."""

    __slots__ = ("_fd", "path")

    def __init__(self, path: str) -> None:
        global _kept
        self.path = path
        self._fd = -1
        try:
            if _kept < kept_max():
                self._fd = os.open(path, _FLAGS | os.O_DIRECTORY)
                _kept += 1
            else:
                os.stat(path)
        except OSError as error:
            raise from_oserror(error, path) from None

    def __del__(self) -> None:
        global _kept
        if self._fd >= 0:
            os.close(self._fd)
            _kept -= 1

    def list(self) -> set[str]:
        try:
            return set(os.listdir(self._fd if self._fd >= 0 else self.path))
        except OSError as error:
            raise from_oserror(error, self.path) from None

    def stat(self, name: str) -> os.stat_result | None:
        """None when it is not there."""
        try:
            return os.stat(name, dir_fd=self._fd) if self._fd >= 0 else os.stat(f"{self.path}/{name}")
        except OSError:
            return None

    def directories(self) -> tuple[str, ...]:
        """The names of the directories in it, sorted, so that two readers see the same order. None when it is gone."""
        try:
            with os.scandir(self._fd if self._fd >= 0 else self.path) as entries:
                return tuple(sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False)))
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise from_oserror(error, self.path) from None

    def open(self, name: str) -> int:
        """A descriptor that the caller closes."""
        try:
            kept = self._fd >= 0
            return os.open(name, _FLAGS, dir_fd=self._fd) if kept else os.open(f"{self.path}/{name}", _FLAGS)
        except OSError as error:
            raise from_oserror(error, f"{self.path}/{name}") from None

    def read(self, name: str) -> bytes:
        """The whole file, most of which are small."""
        try:
            kept = self._fd >= 0
            fd = os.open(name, _FLAGS, dir_fd=self._fd) if kept else os.open(f"{self.path}/{name}", _FLAGS)
            try:
                data = os.read(fd, _SMALL)
                return data if len(data) < _SMALL else data + _rest(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise from_oserror(error, f"{self.path}/{name}") from None


class File:
    """One file, kept open while there are descriptors to spare."""

    __slots__ = ("_directory", "_fd", "_name")

    def __init__(self, directory: Directory, name: str) -> None:
        global _kept
        self._directory = directory
        self._name = name
        self._fd = -1
        if _kept < kept_max():
            self._fd = directory.open(name)
            _kept += 1

    def __del__(self) -> None:
        global _kept
        if self._fd >= 0:
            os.close(self._fd)
            _kept -= 1

    def read(self) -> bytes:
        if self._fd < 0:
            return self._directory.read(self._name)
        try:
            return os.pread(self._fd, _CHUNK, 0)
        except OSError as error:
            raise from_oserror(error, f"{self._directory.path}/{self._name}") from None


def _rest(fd: int) -> bytes:
    parts = []
    while part := os.read(fd, _CHUNK):
        parts.append(part)
    return b"".join(parts)
