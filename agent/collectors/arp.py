"""How many IPv4 neighbours the node knows or looks for, by device.

node_exporter asks netlink, which answers for the asker's network namespace. ``/proc/net/arp`` is that of the node's,
and differs in two things. It also lists the addresses that the node answers for as a proxy: these are told apart by
their flag and not counted. It leaves out entries in state NUD_NONE, which netlink lists: an entry has it for the
moment between its making and its first use, or when a neighbour was given up but is still referred to. So the
two agree, but for such an entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.collectors.devices import label
from agent.collectors.filter import filter_of
from agent.model import Declared, Family, Key, Part, Writer
from agent.sources.arp import read_arp
from agent.sources.host import Host

ENTRIES = Family("node_arp_entries", "gauge", "ARP entries by device", ("device",))


class Arp:
    name: Final = "arp"
    part: Final[Part] = "node"
    families: Final[Declared] = (ENTRIES,)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._host = host
        self._wanted = filter_of(self.name, options, "device-include", "device-exclude").wanted
        self._keys: tuple[Key, ...] = ()

    def collect(self, out: Writer) -> None:
        entries = read_arp(self._host.procfs, self._host.net("arp"))
        found = {(label(device),): count for device, count in entries.items() if self._wanted(device)}
        if tuple(found) != self._keys:
            self._keys = tuple(found)
        out.many(ENTRIES, self._keys, list(found.values()))
