"""How each CPU coped with the packets that it received.

What an old kernel does not count is not there. ``cpu`` is the CPU's number; before Linux 5.10 the kernel does not
tell it and it is the line's, as node_exporter has it too: the same while no CPU is offline.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.model import Declared, Family, Key, Part, Writer
from agent.sources.host import Host
from agent.sources.softnet import SoftnetCpu, read_softnet


def _counter(name: str, help: str) -> Family:
    return Family(f"node_softnet_{name}_total", "counter", help, ("cpu",))


# In the order of SoftnetCpu's fields after ``cpu``.
FAMILIES: Final = (
    _counter("processed", "Number of processed packets"),
    _counter("dropped", "Number of dropped packets"),
    _counter("times_squeezed", "Number of times processing packets ran out of quota"),
    _counter("cpu_collision", "Number of collision occur while obtaining device lock while transmitting"),
    _counter("received_rps", "Number of times cpu woken up received_rps"),
    _counter("flow_limit_count", "Number of times flow limit has been reached"),
    Family("node_softnet_backlog_len", "gauge", "Softnet backlog status", ("cpu",)),
)


class Softnet:
    name: Final = "softnet"
    part: Final[Part] = "node"
    families: Final[Declared] = FAMILIES

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._host = host
        self._cpus: tuple[int, ...] = ()
        self._keys: tuple[Key, ...] = ()

    def collect(self, out: Writer) -> None:
        stats: list[SoftnetCpu] = read_softnet(self._host.procfs, self._host.net("softnet_stat"))
        cpus, *columns = zip(*stats, strict=True)
        if cpus != self._cpus:
            self._cpus, self._keys = cpus, tuple((str(cpu),) for cpu in cpus)
        for family, column in zip(FAMILIES, columns, strict=True):
            if None not in column:
                out.many(family, self._keys, column)
