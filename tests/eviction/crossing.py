"""Real shortages, bounded: a small filesystem that fills, and memory that a process in a memory cgroup takes.

When a signal crossed is told by readings of our own, many of them between two looks of the watch.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from agent.eviction.chronicle import CALM_S
from tests.peers.processes import Served

MIB: Final = 1 << 20
FILESYSTEM_MIB: Final = 64
EVENT_S: Final = 5.0
CLEARED_S: Final = CALM_S + EVENT_S
CGROUP: Final = Path("/sys/fs/cgroup/memory")
HOG: Final = """
import sys, time
step, steps, every_s = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
sys.stdin.readline()
held = []
for _ in range(steps):
    held.append(bytearray(b"x") * step)
    time.sleep(every_s)
print("full", flush=True)
sys.stdin.readline()
"""


@contextlib.contextmanager
def filesystem(place: Path) -> Iterator[Path]:
    """A small ext4 on a loopback device."""
    image, point = place / "disk.img", place / "disk"
    point.mkdir()
    with image.open("wb") as file:
        file.truncate(FILESYSTEM_MIB * MIB)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(point)], check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", str(point)], check=True)


def available_bytes(point: Path) -> int:
    said = os.statvfs(point)
    return said.f_bavail * said.f_frsize


def fill(point: Path, below_bytes: int) -> float:
    """Writes until less than that is available; when it was."""
    with (point / "filler").open("wb", buffering=0) as file:
        while available_bytes(point) >= below_bytes:
            os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), 64 << 10)
            file.seek(64 << 10, os.SEEK_END)
            file.truncate()
    return time.time()


def memory_available_bytes() -> int:
    """By the kubelet's arithmetic on cgroup v1."""
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    stat = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
    used = int((CGROUP / "memory.usage_in_bytes").read_text())
    return total - max(0, used - int(stat["total_inactive_file"]))


@contextlib.contextmanager
def hog(limit_bytes: int, step_bytes: int, steps: int, every_s: float) -> Iterator[subprocess.Popen[str]]:
    """A process in a memory cgroup of its own that takes so much in so many steps, once it is told to begin."""
    group = CGROUP / f"headroom-hog-{os.getpid()}"
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text(str(limit_bytes))
    command = [sys.executable, "-c", HOG, str(step_bytes), str(steps), str(every_s)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        (group / "cgroup.procs").write_text(str(process.pid))
        yield process
    finally:
        process.kill()
        process.communicate()
        (group / "memory.force_empty").write_text("0")
        group.rmdir()


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def when(happened: Callable[[], bool], patience_s: float = 20.0) -> float:
    """The time at which something was first seen, looked for 200 times a second."""
    deadline_s = time.monotonic() + patience_s
    while time.monotonic() < deadline_s:
        if happened():
            return time.time()
        time.sleep(0.005)
    raise AssertionError(f"it did not happen in {patience_s} s")


def event(agent: Served, place: int = 0, patience_s: float = EVENT_S, **wanted: str) -> dict[str, Any]:
    """The first event that has these fields, or a later one by its place, as soon as the agent tells it."""
    found: list[dict[str, Any]] = []

    def told() -> bool:
        events = agent.json("/api/v1/eviction")["events"]
        found[:] = [one for one in events if all(one[name] == value for name, value in wanted.items())]
        return len(found) > place

    when(told, patience_s)
    return found[place]
