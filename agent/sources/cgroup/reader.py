"""The readers of this node's cgroup version, as one interface."""

from __future__ import annotations

from typing import Protocol

from agent.sources.cgroup.hierarchy import Hierarchy
from agent.sources.cgroup.processes import Processes
from agent.sources.cgroup.usage import Detail, Spec, Usage
from agent.sources.host import Host


class Container(Protocol):
    """One open container. Every method raises Gone when it is no more."""

    def usage(self) -> Usage | None: ...
    def detail(self, spec: Spec) -> Detail: ...
    def spec(self) -> Spec: ...
    def pids(self) -> list[bytes]: ...


class Reader(Protocol):
    """Opens containers by their path below the root of the hierarchy."""

    def open(self, path: str) -> Container: ...


def open_reader(host: Host, hierarchy: Hierarchy, processes: Processes) -> Reader:
    """Only the version that is in use is loaded."""
    if hierarchy.version == 2:
        from agent.sources.cgroup.v2 import V2

        return V2(host.sysfs, hierarchy, processes)
    from agent.sources.cgroup.v1 import V1

    return V1(host.sysfs, hierarchy, processes, host.calls.clock_ticks_per_s)
