"""The spool: what an append costs, with and without fdatasync, and how long a full one takes to open.

Records are of 900 bytes, what a tick of 1,500 series comes to. An append is told in CPU time, opening by the clock.
A cold start is one whose pages were dropped from the page cache. ``every byte checked`` is what ``headroom spool ls``
does; a start reads only each session's last file.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agent.push.disk import Disk
from agent.push.reader import survey
from agent.push.spool import Limits, Place, Spool
from agent.wire.ingest_pb2 import Record
from benchmarks.node import MIB, Row

RECORD_BYTES, APPENDS, SYNCED, ROUNDS = 900, 20_000, 2_000, 3
FULL_BYTES: Final = 256 * MIB
RECOVERY_MAX_S: Final = 1.0
_BODY: Final = os.urandom(RECORD_BYTES - 40)


def rows() -> list[Row]:
    """Peers: the bare system calls for appends, reading the same bytes for recovery."""
    with tempfile.TemporaryDirectory(prefix="headroom-bench-") as directory:
        return [*_appends(Path(directory)), *_recovery(Path(directory) / "full")]


def _made(place: Place) -> bytes:
    return Record(sid=place.sid, seq=place.seq, body=_BODY).SerializeToString()


def _appends(directory: Path) -> list[Row]:
    never = Limits(sync_s=1e9, sync_bytes=1 << 40, file_age_s=1e9)
    always = never._replace(sync_bytes=1)
    found = []
    for name, limits, count, bare in (
        ("without fdatasync (peer: write)", never, APPENDS, lambda fd: None),
        ("with fdatasync each (peer: write and fdatasync)", always, SYNCED, os.fdatasync),
    ):
        ours = statistics.median(_append_us(directory, limits, count) for _ in range(ROUNDS))
        peer = statistics.median(_bare_us(directory, count, bare) for _ in range(ROUNDS))
        found.append(Row(f"spool: an append of {RECORD_BYTES} bytes {name}", "us", ours, peer))
    return found


def _append_us(directory: Path, limits: Limits, count: int) -> float:
    spool = Spool(tempfile.mkdtemp(dir=directory), limits)
    began_s = time.process_time()
    for _ in range(count):
        spool.append("samples", _made)
    took_s = time.process_time() - began_s
    spool.close()
    return took_s / count * 1e6


def _bare_us(directory: Path, count: int, sync: Callable[[int], None]) -> float:
    fd = os.open(directory / "bare", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    data = os.urandom(RECORD_BYTES)
    began_s = time.process_time()
    for _ in range(count):
        os.write(fd, data)
        sync(fd)
    took_s = time.process_time() - began_s
    os.close(fd)
    return took_s / count * 1e6


def _recovery(directory: Path) -> list[Row]:
    limits = Limits(sync_s=1e9, sync_bytes=1 << 40)
    spool = Spool(str(directory), limits)
    while spool.size_bytes < FULL_BYTES - 2 * MIB:
        for _ in range(1000):
            spool.append("samples", _made)
    spool.close()
    found = []
    for name, whole in (("", False), (", every byte checked", True)):
        for state, prepare in (("warm", _read), ("cold", _drop)):
            prepare(directory)
            ours = _timed_s(lambda: _open(directory, limits)) if not whole else _timed_s(lambda: _survey(directory))
            prepare(directory)
            peer = _timed_s(lambda: _read(directory))
            what = f"spool: opening 256 MiB, {state}{name} (peer: reading it)"
            found.append(Row(what, "s", ours, peer, None, RECOVERY_MAX_S))
    return found


def _open(directory: Path, limits: Limits) -> None:
    Spool(str(directory), limits).close()


def _survey(directory: Path) -> None:
    for path in directory.iterdir():
        survey(Disk(), str(path), bytes.fromhex(path.name), whole=True)


def _read(directory: Path) -> None:
    for path in directory.rglob("*-*"):
        path.read_bytes()


def _drop(directory: Path) -> None:
    os.sync()
    for path in directory.rglob("*-*"):
        fd = os.open(path, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def _timed_s(work: Callable[[], None]) -> float:
    began_s = time.perf_counter()
    work()
    return time.perf_counter() - began_s


if __name__ == "__main__":
    found = rows()
    for row in found:
        print(f"{row.what}: {row.ours:.3f} {row.unit}, {row.peer:.3f}, {row.ratio:.2f} {row.goal} met={row.met}")
    sys.exit(not all(row.met for row in found))
