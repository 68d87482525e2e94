"""What each container of this node uses and may use: cAdvisor's ``container_*``, straight from the cgroups.

One series per container and name: no slices, no pods, no pause, so sums need no filter. A container without a process,
not started yet or over, has no series; one that is gone has none from then on, and a new one of the same name starts
anew. What a container has not, on this kernel, is left out, not 0: throttling without a quota, pressure without PSI,
file descriptors that we may not count. But a memory limit of 0 is no limit, as in cAdvisor.

Six files of each container are read at every collection; those that move rarely or are dear when they are older than
``DETAIL_S``, limits every ``SPEC_S``. One younger than ``YOUNG_S`` is read from scratch each time: a runtime puts the
first process in before it sets the limits. ``container_memory_failcnt`` on cgroup v2, where cAdvisor has 0, is ``max``
of memory.events; ``container_oom_events_total`` counts the processes killed, as the kernel does per cgroup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from agent.collectors.container_columns import Columns, Keys
from agent.collectors.container_families import (
    CPU_SPEC,
    CPU_USAGE,
    DETAIL,
    FAMILIES,
    MEMORY_FAILURES,
    MEMORY_SPEC,
    MICROSECONDS,
    NANOSECONDS,
    PRESSURE,
    START_TIME,
    THROTTLING,
    USAGE,
)
from agent.collectors.container_io import ContainerIo
from agent.collectors.container_names import Names, Naming
from agent.collectors.container_network import FAMILIES as NETWORK_FAMILIES
from agent.collectors.container_network import ContainerNetwork
from agent.collectors.container_selection import ContainerSelection
from agent.collectors.selection import selection_of
from agent.errors import Gone
from agent.model import Declared, Key, Part, Writer
from agent.sources.cgroup.processes import Processes
from agent.sources.cgroup.reader import Container, Reader, open_reader
from agent.sources.cgroup.tree import ContainerGroup, Tree
from agent.sources.cgroup.usage import UNLIMITED, Detail, Spec, Throttling, Usage
from agent.sources.host import Host
from agent.sources.pressure import Pressure

DETAIL_S: Final = 10.0
SPEC_S: Final = 60.0
YOUNG_S: Final = 10.0
_NO_THROTTLING: Final = Throttling(None, None, None, None, None)
_NO_PRESSURE: Final = Pressure(None, None)


class _Open:
    """A container that is there, with what was last read of it."""

    __slots__ = ("container", "detail", "detail_due_s", "spec", "spec_due_s")

    def __init__(self, container: Container, spread: float, now_s: float) -> None:
        self.container = container
        self.spec = container.spec()
        self.spec_due_s = now_s + SPEC_S * spread  # not all of them at once, ever after
        self.detail = container.detail(self.spec)
        self.detail_due_s = now_s + DETAIL_S

    def refresh(self, now_s: float) -> None:
        if now_s >= self.spec_due_s:
            self.spec = self.container.spec()
            self.spec_due_s = now_s + SPEC_S
        if now_s >= self.detail_due_s:
            self.detail = self.container.detail(self.spec)
            self.detail_due_s = now_s + DETAIL_S


class _Found(NamedTuple):
    """What one collection read of one container."""

    group: ContainerGroup
    usage: Usage
    detail: Detail
    spec: Spec


class Containers:
    name: Final = "containers"
    part: Final[Part] = "cadvisor"
    families: Final[Declared] = (*FAMILIES, *NETWORK_FAMILIES)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._host = host
        self._tree = Tree(host, host.cgroup_root)
        selection = selection_of(options)
        self._naming = Naming(host, selection)
        self._selection = ContainerSelection(self.name, self.families, selection)
        self._columns = Columns()
        self._io = ContainerIo(host, self._columns)
        self._open: dict[ContainerGroup, _Open] = {}
        self._keys: Keys = ()
        self._readers: tuple[Reader, ContainerNetwork] | None = None

    def expire(self) -> None:
        """Everything is read again at the next collection, however young it is."""
        for known in self._open.values():
            known.detail_due_s = known.spec_due_s = 0.0

    def collect(self, out: Writer) -> None:
        if not self._host.cgroup_root and (said := self._naming.cgroup_root()):
            self._tree.look_below(said)
        scan = self._tree.scan()
        reader, network = self._ready()
        names = self._naming.of(scan)
        found = self._read(out, names, reader)
        if found:
            self._give(out, names, found)
        network.give(out, scan, names)
        self._selection.apply(out, scan, names)

    def _ready(self) -> tuple[Reader, ContainerNetwork]:
        """Made at the first collection that finds pods, as a node without any has no use for them."""
        if self._readers is None:
            hierarchy, processes = self._tree.hierarchy, Processes(self._host.procfs)
            network = ContainerNetwork(self._host, self._columns, processes, hierarchy)
            self._readers = (open_reader(self._host, hierarchy, processes), network)
        return self._readers

    def _read(self, out: Writer, names: Names, reader: Reader) -> list[_Found]:
        """Everything that runs. What is not in the scan any more is closed by being forgotten."""
        now_s, grown_up_s = self._host.calls.monotonic_s(), self._host.calls.time_s() - YOUNG_S
        before, self._open = self._open, {}
        found = []
        for group in names.containers:
            with out.optional:
                try:
                    known = before.get(group)
                    container = known.container if known else reader.open(group.path)
                    usage = container.usage()
                    if usage is None:  # what files it has may still change
                        continue
                    if known is None:
                        known = _Open(container, group.inode % 64 / 64, now_s)
                    else:
                        known.refresh(now_s)
                except Gone:  # between the scan and now
                    continue
                if group.born_s < grown_up_s:
                    self._open[group] = known
                found.append(_Found(group, usage, known.detail, known.spec))
        return found

    def _give(self, out: Writer, names: Names, found: list[_Found]) -> None:
        keys = tuple([names.containers[one.group] for one in found])
        if keys == self._keys:
            keys = self._keys
        self._keys = keys
        usage = _transposed([one.usage for one in found])
        detail = _transposed([one.detail for one in found])
        spec = _transposed([one.spec for one in found])
        for columns, table in (
            (usage, USAGE),
            (detail, DETAIL),
            (_transposed([said or _NO_THROTTLING for said in detail["throttling"]]), THROTTLING),
            (spec, CPU_SPEC),
        ):
            for field, family, divisor in table:
                self._columns.give(out, family, keys, columns[field], divisor)
        for field, family, _ in MEMORY_SPEC:
            limits = [0 if limit is not None and limit >= UNLIMITED else limit for limit in spec[field]]
            self._columns.give(out, family, keys, limits)
        self._columns.give(out, CPU_USAGE, keys, usage["cpu_usage_ns"], NANOSECONDS, _total)
        self._faults(out, keys, usage)
        self._pressure(out, keys, detail)
        self._io.give(out, keys, usage["io_bytes"], detail["io_operations"])
        self._columns.give(
            out, START_TIME, keys, [int(names.started_s.get(one.group, one.group.born_s)) for one in found]
        )

    def _faults(self, out: Writer, keys: Keys, usage: _Columns) -> None:
        """A leaf has no hierarchy below it: both scopes are the same."""
        faults = list(zip(usage["page_faults"], usage["major_page_faults"], strict=True))
        column = [None if None in pair else pair * 2 for pair in faults]
        self._columns.give_several(out, MEMORY_FAILURES, keys, column, _by_failure)

    def _pressure(self, out: Writer, keys: Keys, detail: _Columns) -> None:
        for field, waiting, stalled in PRESSURE:
            said = detail[field]
            if any(said):
                columns = _transposed([one or _NO_PRESSURE for one in said])
                self._columns.give(out, waiting, keys, columns["some_usec"], MICROSECONDS)
                self._columns.give(out, stalled, keys, columns["full_usec"], MICROSECONDS)


_Columns = dict[str, tuple[Any, ...]]
_Struct = Usage | Detail | Spec | Throttling | Pressure


def _transposed(rows: Sequence[_Struct]) -> _Columns:
    """The values of each field over all containers, which is how a family wants them."""
    return dict(zip(rows[0]._fields, zip(*rows, strict=True), strict=True))


def _total(key: Key) -> Sequence[Key]:
    return ((key[0], "total", *key[1:]),)


def _by_failure(key: Key) -> Sequence[Key]:
    """In the order of the values: pgfault and pgmajfault, of the container and then of what is below it."""
    return [
        (key[0], kind, *key[1:], scope) for scope in ("container", "hierarchy") for kind in ("pgfault", "pgmajfault")
    ]
