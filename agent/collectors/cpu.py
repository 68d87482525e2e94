"""What the node's CPUs spent their time on, which of them are online or isolated, and how often heat slowed them.

The kernel's counters of a CPU, idle and iowait above all, may fall back a little. Prometheus takes a counter that
falls for one that restarted, and would count the CPU's whole uptime again. So here they never fall: each stays until
the kernel's is ahead of it again. But idle time that falls by ``RESTART_S`` or more is a CPU that was taken offline
and came back; then all its counters start anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.collectors.cpuinfo import FAMILIES as IDENTITY_FAMILIES
from agent.collectors.cpuinfo import Identity
from agent.model import Declared, Family, Key, Part, Writer
from agent.sources.cpu import find_throttle_counters, has_switch, list_cpus, read_isolated, read_online
from agent.sources.host import Host
from agent.sources.number import read_number
from agent.sources.stat import CpuTicks, read_cpu_ticks

SECONDS = Family("node_cpu_seconds_total", "counter", "Seconds the CPUs spent in each mode.", ("cpu", "mode"))
GUEST = Family(
    "node_cpu_guest_seconds_total",
    "counter",
    "Seconds the CPUs spent in guests (VMs) for each mode.",
    ("cpu", "mode"),
)
CORE_THROTTLES = Family(
    "node_cpu_core_throttles_total",
    "counter",
    "Number of times this CPU core has been throttled.",
    ("package", "core"),
)
PACKAGE_THROTTLES = Family(
    "node_cpu_package_throttles_total", "counter", "Number of times this CPU package has been throttled.", ("package",)
)
ISOLATED = Family(
    "node_cpu_isolated",
    "gauge",
    "Whether each core is isolated, information from /sys/devices/system/cpu/isolated.",
    ("cpu",),
)
ONLINE = Family("node_cpu_online", "gauge", "CPUs that are online and being scheduled.", ("cpu",))

RESTART_S: Final = 3
MODES: Final = CpuTicks._fields[:8]
GUEST_MODES: Final = ("user", "nice")


class Cpu:
    name: Final = "cpu"
    part: Final[Part] = "node"
    families: Final[Declared] = (
        SECONDS,
        GUEST,
        ISOLATED,
        PACKAGE_THROTTLES,
        CORE_THROTTLES,
        ONLINE,
        *IDENTITY_FAMILIES,
    )

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._procfs = host.procfs
        self._sysfs = host.sysfs
        self._ticks_per_s = host.calls.clock_ticks_per_s
        self._guest: bool = options["guest"]
        flags, bugs = options["info.flags-include"], options["info.bugs-include"]
        self._identity = Identity(host.procfs, flags, bugs) if options["info"] or flags or bugs else None
        self._ticks: dict[str, CpuTicks] = {}
        self._cpus: tuple[str, ...] = ()
        self._keys: tuple[Key, ...] = ()
        self._guest_keys: tuple[Key, ...] = ()
        self._throttles: tuple[tuple[Family, tuple[Key, ...], tuple[str, ...]], ...] | None = None

    def collect(self, out: Writer) -> None:
        self._collect_ticks(out)
        with out.optional:
            if isolated := read_isolated(self._sysfs):
                out.info(ISOLATED, *((str(cpu),) for cpu in isolated))
        with out.optional:
            self._collect_throttles(out)
        with out.optional:
            self._collect_online(out)
        if self._identity is not None:
            with out.optional:
                self._identity.write(out)

    def _collect_ticks(self, out: Writer) -> None:
        before, now = self._ticks, read_cpu_ticks(self._procfs)
        self._ticks = {cpu: self._never_back(before.get(cpu), ticks) for cpu, ticks in now.items()}
        if self._cpus != (cpus := tuple(now)):
            self._settle(cpus)
        per_s = self._ticks_per_s
        out.many(SECONDS, self._keys, [ticks / per_s for cpu in self._ticks.values() for ticks in cpu[:8]])
        if self._guest:
            out.many(GUEST, self._guest_keys, [ticks / per_s for cpu in self._ticks.values() for ticks in cpu[8:]])

    def _never_back(self, before: CpuTicks | None, now: CpuTicks) -> CpuTicks:
        if before is None or before.idle - now.idle >= RESTART_S * self._ticks_per_s:
            return now
        return CpuTicks._make(map(max, before, now))

    def _settle(self, cpus: tuple[str, ...]) -> None:
        """What holds while the same CPUs are online. One that goes takes its directories with it."""
        self._cpus = cpus
        self._keys = tuple((cpu, mode) for cpu in cpus for mode in MODES)
        self._guest_keys = tuple((cpu, mode) for cpu in cpus for mode in GUEST_MODES)
        self._throttles = None
        self._sysfs.forget("devices/system/cpu/cpu")

    def _collect_throttles(self, out: Writer) -> None:
        if self._throttles is None:
            found = find_throttle_counters(self._sysfs)
            self._throttles = (
                (PACKAGE_THROTTLES, tuple((package,) for package in found.packages), tuple(found.packages.values())),
                (CORE_THROTTLES, tuple(found.cores), tuple(found.cores.values())),
            )
        for family, keys, files in self._throttles:
            out.many(family, keys, [read_number(self._sysfs, file) for file in files])

    def _collect_online(self, out: Writer) -> None:
        """Only where CPU 0 can be taken offline: elsewhere hardly any CPU can, and this would say nothing."""
        if has_switch(self._sysfs, 0):
            online = frozenset(read_online(self._sysfs))
            cpus = list_cpus(self._sysfs)
            out.many(ONLINE, tuple((str(cpu),) for cpu in cpus), [int(cpu in online) for cpu in cpus])
