"""``/proc/stat``: what the CPUs spent their time on, and what the kernel did since boot.

Source: <procfs>/stat, proc_stat(5). Since: 2.6.33 for all ten CPU columns.
Shape: ``name number...`` per line; the line ``intr`` has a number per interrupt, thousands on large machines.
Units: clock ticks (USER_HZ) for CPUs, seconds since the epoch for ``btime``, else counts. Errors: Malformed.
Cost: 10 us to read with 2 CPUs, growing with CPUs and interrupts. Each parser looks only at its own lines.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from agent.errors import Malformed
from agent.sources.root import Root

SOFTIRQ_VECTORS: Final = (
    "hi",
    "timer",
    "net_tx",
    "net_rx",
    "block",
    "block_iopoll",
    "tasklet",
    "sched",
    "hrtimer",
    "rcu",
)


class CpuTicks(NamedTuple):
    """Clock ticks of one CPU since boot. Guest time is also in ``user`` and ``nice``."""

    user: int
    nice: int
    system: int
    idle: int
    iowait: int
    irq: int
    softirq: int
    steal: int
    guest: int
    guest_nice: int


class Stat(NamedTuple):
    """Counts since boot, and two of this moment. ``softirqs`` is by SOFTIRQ_VECTORS, empty before 2.6.31."""

    interrupts: int
    context_switches: int
    forks: int
    boot_time_s: int
    procs_running: int
    procs_blocked: int
    softirqs: tuple[int, ...]


def parse_cpu_ticks(buf: bytes) -> dict[str, CpuTicks]:
    """Shape: ``cpu0 741 0 837 238399 32 0 6 7 0 0``. By the CPU's number; those that are offline are missing."""
    cpus = {}
    for line in buf.splitlines():
        if not line.startswith(b"cpu") or line.startswith(b"cpu "):
            continue
        words = line.split()
        try:
            number = str(int(words[0][3:]))
            cpus[number] = CpuTicks._make(map(int, words[1:11]))
        except (ValueError, TypeError):
            raise Malformed("stat", "'cpu<n>' and ten numbers expected", line) from None
    if not cpus:
        raise Malformed("stat", "no CPU")
    return cpus


def parse_stat(buf: bytes) -> Stat:
    """Everything but the CPUs. Shape: ``ctxt 358752``; of ``intr`` and ``softirq`` the first number is the total."""
    lines = {}
    for line in buf.splitlines():
        name, _, rest = line.partition(b" ")
        lines[name] = rest
    try:
        return Stat(
            int(lines[b"intr"].partition(b" ")[0]),
            int(lines[b"ctxt"]),
            int(lines[b"processes"]),
            int(lines[b"btime"]),
            int(lines[b"procs_running"]),
            int(lines[b"procs_blocked"]),
            _softirqs(lines.get(b"softirq")),
        )
    except KeyError as error:
        raise Malformed("stat", f"no line {error.args[0].decode()}") from None
    except ValueError as error:
        raise Malformed("stat", f"a number expected: {error}") from None


def _softirqs(line: bytes | None) -> tuple[int, ...]:
    if line is None:
        return ()
    counts = tuple(map(int, line.split()[1:]))
    if len(counts) < len(SOFTIRQ_VECTORS):
        raise Malformed("stat", f"a total and {len(SOFTIRQ_VECTORS)} softirq counts expected", line)
    return counts[: len(SOFTIRQ_VECTORS)]


def read_cpu_ticks(procfs: Root) -> dict[str, CpuTicks]:
    return parse_cpu_ticks(procfs.read("stat"))


def read_stat(procfs: Root) -> Stat:
    return parse_stat(procfs.read("stat"))
