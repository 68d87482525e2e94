"""The system calls of a spool, in one place, so that a test can let each of them fail. Errors are OSError."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Disk:
    """A path is a text; a file that is open is its descriptor."""

    def time_s(self) -> float:
        """The wall clock, as files carry it."""
        return time.time()

    def monotonic_s(self) -> float:
        return time.monotonic()

    def names(self, directory: str) -> list[str]:
        return sorted(os.listdir(directory))

    def make_directory(self, path: str) -> None:
        os.makedirs(path, 0o700, exist_ok=True)

    def remove_directory(self, path: str) -> None:
        os.rmdir(path)

    def lock(self, directory: str) -> int | None:
        """A descriptor that holds the lock as long as it is open; None when another process has it."""
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        except OSError:
            os.close(fd)
            raise
        return fd

    def create(self, path: str) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def open(self, path: str) -> int:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def read(self, fd: int, size: int, offset: int) -> bytes:
        return os.pread(fd, size, offset)

    def write(self, fd: int, data: bytes) -> int:
        return os.write(fd, data)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def sync(self, fd: int) -> None:
        os.fdatasync(fd)

    def sync_directory(self, path: str) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def close(self, fd: int) -> None:
        os.close(fd)

    def size_and_age_s(self, path: str) -> tuple[int, float]:
        """Bytes, and seconds since it was last written to."""
        st = os.stat(path, follow_symlinks=False)
        return st.st_size, self.time_s() - st.st_mtime

    def filesystem_bytes(self, path: str) -> int:
        st = os.statvfs(path)
        return st.f_blocks * st.f_frsize

    @contextmanager
    def opened(self, path: str) -> Iterator[int]:
        """For reading."""
        fd = self.open(path)
        try:
            yield fd
        finally:
            self.close(fd)
