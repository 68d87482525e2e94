"""Records to spool, and disks that fail, forget and keep their own time."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from agent.push.disk import Disk
from agent.push.held import Held, Key, Lane
from agent.push.spool import Limits, Place, Spool
from agent.wire import ingest_pb2 as pb

SMALL = Limits(max_bytes=20_000, file_bytes=1000, sessions=4)
EVENTS: Lane = "events"
SAMPLES: Lane = "samples"


def record(place: Place, payload: bytes = b"") -> bytes:
    """A serialized Record whose body is ``payload``."""
    return pb.Record(sid=place.sid, seq=place.seq, body=payload).SerializeToString()


def of(payload: bytes) -> Callable[[Place], bytes]:
    return lambda place: record(place, payload)


def payload_of(data: bytes) -> bytes:
    return pb.Record.FromString(data).body


def live(spool: Spool, lane: Lane = SAMPLES) -> Held:
    return next(one for one in spool.held() if one.key.lane == lane and not one.sealed)


def readable(spool: Spool) -> dict[tuple[Key, int], bytes]:
    """Every record that can be read, through the interface that sending uses."""
    found = {}
    for key in [one.key for one in spool.held()]:
        held = next(one for one in spool.held() if one.key == key)
        for file in held.files:
            if spool.header(key, file.first) is None:
                continue
            for seq in range(file.first, file.readable + 1):
                data = spool.record(key, seq)
                if data is None:
                    break
                assert (key, seq) not in found
                found[key, seq] = payload_of(data)
    return found


class ClockDisk(Disk):
    """A disk whose clock stands still. ``die`` closes what its process had open, as the end of a process does."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self._open: set[int] = set()

    def monotonic_s(self) -> float:
        return self.now_s

    def create(self, path: str) -> int:
        fd = super().create(path)
        self._open.add(fd)
        return fd

    def open(self, path: str) -> int:
        fd = super().open(path)
        self._open.add(fd)
        return fd

    def lock(self, directory: str) -> int | None:
        fd = super().lock(directory)
        self._open |= set() if fd is None else {fd}
        return fd

    def close(self, fd: int) -> None:
        self._open.discard(fd)
        super().close(fd)

    def die(self) -> None:
        for fd in list(self._open):
            self.close(fd)


def on_disk_bytes(root: Path) -> int:
    return sum(file.stat().st_size for file in root.rglob("*-*"))


class FaultyDisk(ClockDisk):
    """``refuse("write", errno.EIO, 2)``: the next two writes fail. ``room`` is how many bytes still fit, if set."""

    def __init__(self) -> None:
        super().__init__()
        self.room: int | None = None
        self._refused: dict[str, list[int]] = {}

    def refuse(self, what: str, number: int, times: int = 1) -> None:
        self._refused[what] = [number] * times

    def _maybe(self, what: str) -> None:
        if self._refused.get(what):
            number = self._refused[what].pop()
            raise OSError(number, os.strerror(number))

    def write(self, fd: int, data: bytes) -> int:
        self._maybe("write")
        if self.room is None:
            return super().write(fd, data)
        if self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = super().write(fd, data[: self.room])
        self.room -= written
        return written

    def create(self, path: str) -> int:
        self._maybe("create")
        return super().create(path)

    def open(self, path: str) -> int:
        self._maybe("open")
        return super().open(path)

    def truncate(self, fd: int, size: int) -> None:
        self._maybe("truncate")
        super().truncate(fd, size)

    def sync(self, fd: int) -> None:
        self._maybe("sync")
        super().sync(fd)

    def unlink(self, path: str) -> None:
        self._maybe("unlink")
        super().unlink(path)


class ForgetfulDisk(ClockDisk):
    """Real files, of which ``cut_power`` leaves only what was synced: bytes by sync, names by sync_directory.

    Files that were unlinked come back unless their directory was synced since; all but the last: nothing keeps order.
    """

    def __init__(self) -> None:
        super().__init__()
        self._paths: dict[int, str] = {}
        self._synced: dict[str, int] = {}
        self._named: set[str] = set()
        self._unlinked: dict[str, bytes] = {}

    def create(self, path: str) -> int:
        fd = super().create(path)
        self._paths[fd] = path
        self._synced[path] = 0
        return fd

    def sync(self, fd: int) -> None:
        self._synced[self._paths[fd]] = os.fstat(fd).st_size

    def sync_directory(self, path: str) -> None:
        inside = {os.path.join(path, name) for name in os.listdir(path)}
        self._named |= inside
        self._unlinked = {file: data for file, data in self._unlinked.items() if os.path.dirname(file) != path}

    def unlink(self, path: str) -> None:
        if path in self._named:
            self._unlinked[path] = Path(path).read_bytes()[: self._synced.get(path)]
        super().unlink(path)

    def cut_power(self) -> None:
        for path, data in list(self._unlinked.items())[:-1]:
            Path(path).write_bytes(data)
        for path, size in self._synced.items():
            if path not in self._named and os.path.exists(path):
                os.unlink(path)
            elif os.path.exists(path):
                os.truncate(path, min(size, os.path.getsize(path)))
