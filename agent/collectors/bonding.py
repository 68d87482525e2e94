"""How many links each bond has, and how many of them are up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.collectors.devices import label
from agent.errors import Absent, Gone
from agent.model import Declared, Family, Key, Part, Writer
from agent.sources.bonding import read_bonds
from agent.sources.host import Host

SLAVES = Family("node_bonding_slaves", "gauge", "Number of configured slaves per bonding interface.", ("master",))
ACTIVE = Family("node_bonding_active", "gauge", "Number of active slaves per bonding interface.", ("master",))


class Bonding:
    name: Final = "bonding"
    part: Final[Part] = "node"
    families: Final[Declared] = (SLAVES, ACTIVE)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._sysfs = host.sysfs
        self._keys: tuple[Key, ...] = ()

    def collect(self, out: Writer) -> None:
        try:
            bonds = read_bonds(self._sysfs)
        except Gone as error:
            raise Absent(error.path, "no bonding on this node") from None
        keys = tuple((label(bond.master),) for bond in bonds)
        if keys != self._keys:
            self._keys = keys
        out.many(SLAVES, self._keys, [len(bond.slaves) for bond in bonds])
        out.many(ACTIVE, self._keys, [sum(state == "up" for state in bond.slaves.values()) for bond in bonds])
