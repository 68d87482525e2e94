"""Whether the processes a node cannot do without are up, and what they use: kubelet, containerd, or what you name.

Processes of one name are summed. The CPU time is a counter for as long as the agent lives: what ended ones had used
stays in it, and a restarted one goes on from there. While none was ever seen there is no CPU time, and while none is
up there is no memory: nothing is not zero.

All processes are looked through at most every ``SCAN_EVERY_S``, or at once when a known one vanished; a scrape only
looks at those that are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import psutil

from agent.errors import Denied, Gone, Malformed
from agent.model import Declared, Family, Key, Part, Writer
from agent.sources.host import Host
from agent.sources.processes import COMMAND_BYTES_MAX, process_at, read_command, read_pids

SCAN_EVERY_S: Final = 15.0
SCANS_PER_ROUND: Final = 8  # a process may become another program in place: each is looked at again once a round

UP = Family("headroom_process_up", "gauge", "1 if a process of this name runs, 0 if none does.", ("process",))
INSTANCES = Family("headroom_process_instances", "gauge", "How many processes of this name run.", ("process",))
CPU = Family(
    "headroom_process_cpu_seconds_total",
    "counter",
    "User and system CPU time of the processes of this name, including those that ended since the agent saw them.",
    ("process",),
)
RESIDENT = Family(
    "headroom_process_resident_memory_bytes",
    "gauge",
    "Resident memory of the processes of this name; pages they share count for each.",
    ("process",),
)


class _Running(NamedTuple):
    """A process of one of the names, as last seen. psutil tells by its start time whether it still is the same."""

    process: psutil.Process
    name: str
    cpu_s: float
    resident_bytes: int


class NamedProcesses:
    name: Final = "named_processes"
    part: Final[Part] = "headroom"
    families: Final[Declared] = (UP, INSTANCES, CPU, RESIDENT)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._host = host
        self._names: tuple[Key, ...] = tuple((name,) for name in dict.fromkeys(options["names"]))
        self._by_command = {name.encode()[:COMMAND_BYTES_MAX]: name for (name,) in self._names}
        self._running: dict[int, _Running] = {}
        self._ended_cpu_s: dict[str, float] = {}
        self._others: set[int] = set()
        self._scans = 0
        self._next_scan_s = float("-inf")

    def collect(self, out: Writer) -> None:
        now_s = self._host.calls.monotonic_s()
        if self._look_again() or now_s >= self._next_scan_s:
            self._scan()
            self._next_scan_s = now_s + SCAN_EVERY_S
        self._write(out)

    def _look_again(self) -> bool:
        """At the known ones. Whether any of them vanished; then it may have been restarted."""
        ended = False
        for pid, before in list(self._running.items()):
            now = self._look_at(pid, before.process)
            if now is not None:
                self._running[pid] = now
                continue
            ended = True
            self._next_scan_s = float("-inf")  # whatever becomes of this collection
            del self._running[pid]
            self._ended_cpu_s[before.name] = self._ended_cpu_s.get(before.name, 0.0) + before.cpu_s
        return ended

    def _scan(self) -> None:
        """For new ones: at every process not seen before, and at a part of the others."""
        pids = set(read_pids(self._host.procfs))
        self._scans += 1
        self._others &= pids
        for pid in pids.difference(self._running):
            if pid in self._others and (pid + self._scans) % SCANS_PER_ROUND:
                continue
            found = self._look_at(pid, None)
            if found is None:
                self._others.add(pid)
            else:
                self._others.discard(pid)
                self._running[pid] = found

    def _look_at(self, pid: int, known: psutil.Process | None) -> _Running | None:
        """None if it is no process of our names (any more), or not the one that is known."""
        procfs = self._host.procfs
        try:
            name = self._by_command.get(read_command(procfs, pid))
            if name is None:
                return None
            process = process_at(procfs.path, pid)
            if known is not None and process != known:
                return None
            return _use_of(process, name)
        except (Gone, psutil.NoSuchProcess):
            return None
        except psutil.AccessDenied as error:
            raise Denied(procfs / str(pid), str(error)) from None
        except (IndexError, ValueError):
            raise Malformed(procfs / f"{pid}/stat", "not what psutil expects") from None

    def _write(self, out: Writer) -> None:
        counts = {name: 0 for (name,) in self._names}
        cpu_s = dict(self._ended_cpu_s)
        resident_bytes: dict[str, int] = {}
        for running in self._running.values():
            name = running.name
            counts[name] += 1
            cpu_s[name] = cpu_s.get(name, 0.0) + running.cpu_s
            resident_bytes[name] = resident_bytes.get(name, 0) + running.resident_bytes
        seen = tuple(key for key in self._names if key[0] in cpu_s)
        up = tuple(key for key in self._names if counts[key[0]])
        out.many(UP, self._names, [min(count, 1) for count in counts.values()])
        out.many(INSTANCES, self._names, list(counts.values()))
        out.many(CPU, seen, [round(cpu_s[name], 6) for (name,) in seen])
        out.many(RESIDENT, up, [resident_bytes[name] for (name,) in up])


def _use_of(process: psutil.Process, name: str) -> _Running | None:
    """None for a zombie: it only waits for its parent to notice."""
    with process.oneshot():
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        cpu = process.cpu_times()
        return _Running(process, name, cpu.user + cpu.system, process.memory_info().rss)
