"""What each network device is, and in which state.

A device tells only what it has: a loopback has no speed, and one that is down neither speed nor carrier. A speed of
-125000 bytes is the -1 of a driver that does not know it; ``ignore-invalid-speed`` leaves it out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from agent.collectors.devices import label
from agent.model import Block, Declared, Family, Key, Part, Type, Writer
from agent.sources.host import Host
from agent.sources.net_class import IFF_UP, Interface, NetClass

BYTES_PER_MBIT: Final = 125_000


def _property(name: str, type: Type = "gauge") -> Family:
    return Family(f"node_network_{name}", type, f"Network device property: {name}", ("device",))


UP = Family("node_network_up", "gauge", "Value is 1 if operstate is 'up', 0 otherwise.", ("device",))
INFO = Family(
    "node_network_info",
    "gauge",
    "Non-numeric data from /sys/class/net/<iface>, value is always 1.",
    ("address", "adminstate", "broadcast", "device", "duplex", "ifalias", "operstate"),
)
SPEED = _property("speed_bytes")
PROPERTIES: Final = {
    "addr_assign_type": _property("address_assign_type"),
    "carrier": _property("carrier"),
    "carrier_changes": _property("carrier_changes_total", "counter"),
    "carrier_down_count": _property("carrier_down_changes_total", "counter"),
    "carrier_up_count": _property("carrier_up_changes_total", "counter"),
    "dev_id": _property("device_id"),
    "dormant": _property("dormant"),
    "flags": _property("flags"),
    "ifindex": _property("iface_id"),
    "iflink": _property("iface_link"),
    "link_mode": _property("iface_link_mode"),
    "mtu_bytes": _property("mtu_bytes"),
    "name_assign_type": _property("name_assign_type"),
    "netdev_group": _property("net_dev_group"),
    "tx_queue_len": _property("transmit_queue_length"),
    "type": _property("protocol_type"),
}
_COLUMNS: Final = tuple((Interface._fields.index(field), family) for field, family in PROPERTIES.items())


class Netclass:
    name: Final = "netclass"
    part: Final[Part] = "node"
    families: Final[Declared] = (UP, INFO, SPEED, *PROPERTIES.values())

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        ignored = re.compile(options["ignored-devices"])
        self._net_class = NetClass(host.sysfs, lambda device: not ignored.search(device))
        self._speed_min_mbits = 0 if options["ignore-invalid-speed"] else -(1 << 63)
        self._names: tuple[str, ...] = ()
        self._keys: tuple[Key, ...] = ()
        self._gaps: dict[tuple[bool, ...], tuple[Key, ...]] = {}
        self._last: list[Interface] = []
        self._blocks: list[Block] = []

    def collect(self, out: Writer) -> None:
        interfaces: list[Interface] = []
        for device in self._net_class.devices():
            with out.optional:
                interface = device.read()
                if interface is not None:
                    interfaces.append(interface)
        if interfaces != self._last:
            written = Writer()
            if interfaces:
                self._write(interfaces, written)
            self._blocks, self._last = written.blocks, interfaces
        out.again(self._blocks)

    def _write(self, interfaces: Sequence[Interface], out: Writer) -> None:
        columns = tuple(zip(*interfaces, strict=True))
        self._follow(columns[0])
        self._many(out, UP, [None if i.operstate is None else int(i.operstate == "up") for i in interfaces])
        out.info(INFO, *map(_info, interfaces))
        for position, family in _COLUMNS:
            self._many(out, family, columns[position])
        self._many(out, SPEED, [self._speed_bytes(i.speed_mbits) for i in interfaces])

    def _follow(self, names: tuple[str, ...]) -> None:
        if names != self._names:
            self._names = names
            self._keys = tuple((label(name),) for name in names)
            self._gaps = {}

    def _many(self, out: Writer, family: Family, column: Sequence[int | None]) -> None:
        """The devices that can tell. The keys are the same object while these are the same devices."""
        if None not in column:
            out.many(family, self._keys, column)  # type: ignore[arg-type]  # mypy does not narrow by ``in``
            return
        present = tuple(value is not None for value in column)
        keys = self._gaps.get(present)
        if keys is None:
            keys = tuple(key for key, there in zip(self._keys, present, strict=True) if there)
            self._gaps[present] = keys
        out.many(family, keys, [value for value in column if value is not None])

    def _speed_bytes(self, mbits: int | None) -> int | None:
        return None if mbits is None or mbits < self._speed_min_mbits else mbits * BYTES_PER_MBIT


def _info(interface: Interface) -> Key:
    """What a device cannot tell is an empty label; its administrative state is then unknown."""
    flags = interface.flags
    return (
        interface.address or "",
        "unknown" if flags is None else "up" if flags & IFF_UP else "down",
        interface.broadcast or "",
        label(interface.name),
        interface.duplex or "",
        interface.ifalias or "",
        interface.operstate or "",
    )
