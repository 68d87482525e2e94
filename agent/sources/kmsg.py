"""``/dev/kmsg``: what the kernel says of the processes that it killed for want of memory.

Source: <rootfs>/dev/kmsg, Documentation/ABI/testing/dev-kmsg; the record ``oom-kill:`` of mm/oom_kill.c. Since: 5.0.
Shape: ``6,1234,5678901,-;oom-kill:constraint=CONSTRAINT_MEMCG,...,task_memcg=/kubepods/...,task=stress,pid=7,uid=0``.
Errors: Denied for most users (it takes CAP_SYSLOG where dmesg is restricted), Gone. Cost: 2 us when nothing was said.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from agent.errors import SourceError, from_oserror
from agent.sources.root import Root

PATH: Final = "dev/kmsg"
RECORD_BYTES: Final = 8192  # what the kernel gives at most
RECORDS_MAX: Final = 1000  # a flood is read over several turns
_MARK: Final = b";oom-kill:"


class OomRecord(NamedTuple):
    """A process that was killed: the cgroup it was in, its command name (never its arguments) and its id."""

    cgroup: str
    command: str
    pid: int


def parse_oom_record(record: bytes) -> OomRecord | None:
    """None for a record about anything else, and for one that does not say whom it was."""
    _, found, said = record.partition(_MARK)
    if not found:
        return None
    # what stands before the command's name no process can write, and of what it can no pid comes after the last
    before, _, after = said.split(b"\n", 1)[0].decode("utf-8", "replace").partition(",task=")
    command, _, rest = after.rpartition(",pid=")
    cgroup, pid = before.partition(",task_memcg=")[2], rest.partition(",")[0]
    if not cgroup or not (pid.isascii() and pid.isdigit()) or len(pid) > 10:
        return None
    return OomRecord(cgroup, command, int(pid))


class Kmsg:
    """The records from now on; closed when it is let go. Raises SourceError where they may not be read.

    Threads: one at a time.
    """

    def __init__(self, rootfs: Root) -> None:
        self._path = rootfs / PATH
        try:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._fd, 0, os.SEEK_END)
        except OSError as error:
            raise from_oserror(error, self._path) from None

    def read(self) -> list[OomRecord]:
        """The processes that were killed since the last call. Records that were overwritten unread are skipped."""
        found = []
        for _ in range(RECORDS_MAX):
            try:
                record = os.read(self._fd, RECORD_BYTES)
            except BlockingIOError:
                break
            except BrokenPipeError:  # overwritten before we came: the next read gives the oldest that is left
                continue
            except OSError as error:
                raise from_oserror(error, self._path) from None
            if not record:  # a plain file, in a recording
                break
            if (said := parse_oom_record(record)) is not None:
                found.append(said)
        return found

    def __del__(self) -> None:
        fd = getattr(self, "_fd", -1)
        if fd >= 0:
            os.close(fd)


def open_kmsg(rootfs: Root) -> Kmsg | SourceError:
    """The reader, or why there is none."""
    try:
        return Kmsg(rootfs)
    except SourceError as error:
        return error.kept()
