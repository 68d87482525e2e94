"""The file that a live session writes: append-only, made by this process, cut back where a write came to nothing."""

from __future__ import annotations

import errno
import os

from agent.push.disk import Disk


class LiveFile:
    """``suspect``: what was written may not be on disk whatever the kernel says later; it takes nothing more."""

    def __init__(self, disk: Disk, path: str, data: bytes) -> None:
        """Begins with ``data``. Raises OSError, and then there is no such file."""
        self._disk = disk
        self._fd = disk.create(path)
        self._named = False  # whether a power cut leaves its name
        self.path = path
        self.size_bytes = 0
        self.unsynced_bytes = 0
        self.suspect = False
        self.opened_s = self.synced_s = disk.monotonic_s()
        try:
            self.append(data)
        except OSError:
            self.discard()
            raise

    def append(self, data: bytes) -> None:
        """All of it or, with OSError, nothing."""
        written = 0
        try:
            while written < len(data):
                count = self._disk.write(self._fd, data[written:] if written else data)
                if count == 0:
                    raise OSError(errno.EIO, "nothing was written")
                written += count
        except OSError:
            self._cut(self.size_bytes)
            raise
        self.size_bytes += written
        self.unsynced_bytes += written

    def sync(self) -> None:
        """Raises OSError. A later success would say nothing of what was written before (so the file is suspect)."""
        try:
            self._disk.sync(self._fd)
            if not self._named:
                self._disk.sync_directory(os.path.dirname(self.path))
        except OSError:
            self.suspect = True
            raise
        self._named = True
        self.unsynced_bytes = 0
        self.synced_s = self._disk.monotonic_s()

    def take_back(self, size_bytes: int) -> None:
        """The last of it, which must be on disk to count, and is not."""
        self.size_bytes -= size_bytes
        self._cut(self.size_bytes)

    def _cut(self, size_bytes: int) -> None:
        try:
            self._disk.truncate(self._fd, size_bytes)
        except OSError:
            self.suspect = True

    def close(self) -> None:
        self._disk.close(self._fd)

    def discard(self) -> None:
        """Nothing was ever in it."""
        self.close()
        try:
            self._disk.unlink(self.path)
        except OSError:
            pass  # it is empty, or its records are also in the file that is made instead
