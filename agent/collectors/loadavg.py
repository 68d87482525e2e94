"""How many tasks run or wait for a CPU or a disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.model import Declared, Family, Part, Writer
from agent.sources.host import Host
from agent.sources.loadavg import read_loadavg

LOAD1 = Family("node_load1", "gauge", "1m load average.")
LOAD5 = Family("node_load5", "gauge", "5m load average.")
LOAD15 = Family("node_load15", "gauge", "15m load average.")


class Loadavg:
    name: Final = "loadavg"
    part: Final[Part] = "node"
    families: Final[Declared] = (LOAD1, LOAD5, LOAD15)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._procfs = host.procfs

    def collect(self, out: Writer) -> None:
        load = read_loadavg(self._procfs)
        out.one(LOAD1, load.load1)
        out.one(LOAD5, load.load5)
        out.one(LOAD15, load.load15)
