"""``/proc/<pid>``: the node's processes, by their command name and never by their arguments.

Source: <procfs>/<pid>/comm and <procfs>/<pid>/stat, proc_pid_stat(5). Since: 2.6.33. Units: clock ticks, pages.
Errors: Malformed; Gone for a process that ended meanwhile; Unsupported where procfs hides other users' processes.
Cost: 10 us per file and process, so nobody looks at every process at every scrape without being asked to.

Where psutil looks for procfs is a variable of its module, but a ``psutil.Process`` remembers where it was made:
``process_at`` makes one that belongs to a host's procfs, and leaves the variable as it was.
"""

from __future__ import annotations

import threading
from typing import Final, NamedTuple

import psutil

from agent.errors import Denied, Gone, Malformed, Unsupported
from agent.sources.root import Root

COMMAND_BYTES_MAX: Final = 15  # what the kernel keeps of a command name
_IS_KERNEL_THREAD: Final = 0x00200000
_psutil_path = threading.Lock()


class ProcessStat(NamedTuple):
    """What one line says of a process. ``start_ticks`` since boot tells it from another one that gets its PID."""

    pid: int
    command: bytes
    is_kernel_thread: bool
    cpu_ticks: int
    start_ticks: int
    resident_pages: int


def parse_process_stat(buf: bytes) -> ProcessStat:
    """Shape: ``1 (systemd) S 0 1 1 0 -1 4194560 ...``. The name may hold anything; the last parenthesis ends it."""
    head, _, tail = buf.rpartition(b") ")
    fields = tail.split(None, 22)
    try:
        pid, command = head.split(b" (", 1)
        is_kernel_thread = bool(int(fields[6]) & _IS_KERNEL_THREAD)
        cpu_ticks = int(fields[11]) + int(fields[12])
        return ProcessStat(int(pid), command, is_kernel_thread, cpu_ticks, int(fields[19]), int(fields[21]))
    except (ValueError, IndexError):
        raise Malformed("stat", "'pid (command) state ...' expected", buf) from None


def read_process_stat(procfs: Root, pid: int) -> ProcessStat:
    return parse_process_stat(procfs.read_once(f"{pid}/stat"))


def read_command(procfs: Root, pid: int) -> bytes:
    return procfs.read_once(f"{pid}/comm").rstrip(b"\n")


def read_pids(procfs: Root) -> list[int]:
    """Every process. Raises Unsupported when we are shown only our own: then nobody else's absence means anything."""
    try:
        procfs.read_once("1/comm")
    except (Gone, Denied) as error:
        raise Unsupported(error.path, "this procfs hides the node's processes") from None
    return [int(name) for name in procfs.list(".") if name.isdecimal()]


def process_at(procfs: str, pid: int | None = None) -> psutil.Process:
    """A process of the procfs that is mounted there; without a PID this process. Raises psutil.NoSuchProcess."""
    with _psutil_path:
        before = psutil.PROCFS_PATH
        psutil.PROCFS_PATH = procfs
        try:
            return psutil.Process(pid)
        finally:
            psutil.PROCFS_PATH = before
