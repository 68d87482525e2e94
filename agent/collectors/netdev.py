"""What each network device carried and lost.

The families are the sums of ``/proc/net/dev``, as node_exporter has them, and ``receive_nohandler`` from sysfs.
``enable-detailed-metrics`` replaces them by what the kernel counts one by one, from sysfs alone.
``address-info`` asks getifaddrs(3), which answers for our network namespace: omitted where that is not the node's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from agent.collectors.devices import label
from agent.collectors.filter import filter_of
from agent.errors import Gone, SourceError, Unsupported
from agent.model import Block, Declared, Family, Key, Part, Writer
from agent.sources.host import Host
from agent.sources.net_address import parse_address
from agent.sources.net_dev import Statistics, Traffic, read_net_dev, read_statistic, read_statistics

NOHANDLER: Final = "receive_nohandler"
SUMS: Final = Traffic._fields[1:]
_PREFIXES: Final = {"rx": "receive", "tx": "transmit"}
# Statistics' fields as node_exporter spells them: rx_errors is receive_errors.
DETAILS: Final = tuple(
    "_".join((_PREFIXES.get(direction, direction), *rest))
    for direction, *rest in (field.split("_", 1) for field in Statistics._fields)
)
ADDRESS_INFO = Family(
    "node_network_address_info",
    "gauge",
    "node network address by device",
    ("address", "device", "netmask", "scope"),
)


def _families(labels: tuple[str, ...]) -> dict[str, Family]:
    return {
        name: Family(f"node_network_{name}_total", "counter", f"Network device statistic {name}.", labels)
        for name in dict.fromkeys((*SUMS, NOHANDLER, *DETAILS))
    }


_BY_DEVICE: Final = _families(("device",))


class Netdev:
    name: Final = "netdev"
    part: Final[Part] = "node"
    families: Declared = (*_BY_DEVICE.values(), ADDRESS_INFO)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._host = host
        self._wanted = filter_of(self.name, options, "device-include", "device-exclude").wanted
        self._detailed: bool = options["enable-detailed-metrics"]
        self._address_info: bool = options["address-info"]
        self._with_alias: bool = options["label-ifalias"]
        self._by_name = _BY_DEVICE
        if self._with_alias:
            self._by_name = _families(("device", "ifalias"))
            self.families = (*self._by_name.values(), ADDRESS_INFO)
        self._devices: tuple[str, ...] = ()
        self._keys: tuple[Key, ...] = ()

    def collect(self, out: Writer) -> None:
        if self._detailed:
            self._collect_details(out)
        else:
            self._collect_sums(out)
        if self._address_info:
            with out.optional:
                self._collect_addresses(out)

    def _collect_sums(self, out: Writer) -> None:
        lines = read_net_dev(self._host.procfs, self._host.net("dev"))
        lines = [line for line in lines if self._wanted(line.device)]
        if not lines:
            return
        devices, *columns = zip(*lines, strict=True)
        keys = self._keys_of(devices)
        for name, column in zip(SUMS, columns, strict=True):
            out.many(self._by_name[name], keys, column)
        with out.optional:
            self._collect_nohandler(out, devices, keys)

    def _collect_nohandler(self, out: Writer, devices: tuple[str, ...], keys: tuple[Key, ...]) -> None:
        column = [read_statistic(self._host.sysfs, device, "rx_nohandler") for device in devices]
        if all(value is None for value in column):
            raise Unsupported(self._host.sysfs / "class/net/*/statistics/rx_nohandler", "no device has it")
        out.blocks.append(_present(self._by_name[NOHANDLER], keys, column))

    def _collect_details(self, out: Writer) -> None:
        found: dict[str, Statistics] = {}
        for device in filter(self._wanted, self._host.sysfs.list("class/net")):
            try:
                found[device] = read_statistics(self._host.sysfs, device)
            except Gone:
                continue  # vanished since it was listed, or bonding_masters, which is no device
        keys = self._keys_of(tuple(found))
        for name, column in zip(DETAILS, zip(*found.values(), strict=True), strict=False):
            block = _present(self._by_name[name], keys, column)
            if block.keys:
                out.blocks.append(block)

    def _keys_of(self, devices: tuple[str, ...]) -> tuple[Key, ...]:
        """The label values: the same object while they are the same. Lets go of the files of vanished devices."""
        if devices != self._devices:
            for vanished in set(self._devices).difference(devices):
                self._host.sysfs.forget(f"class/net/{vanished}/statistics/")
            self._devices = devices
        elif not self._with_alias:
            return self._keys
        keys = tuple((label(device), *self._alias(device)) for device in devices)
        if keys != self._keys:
            self._keys = keys
        return self._keys

    def _alias(self, device: str) -> Key:
        if not self._with_alias:
            return ()
        try:
            alias = self._host.sysfs.attribute(f"class/net/{device}/ifalias")
        except SourceError:
            return ("",)
        return (alias.decode("utf-8", "replace").strip(),)

    def _collect_addresses(self, out: Writer) -> None:
        if not self._host.calls.sees_host_network:
            raise Unsupported("getifaddrs(3)", "answers for this process's network namespace, which is not the node's")
        keys: dict[Key, None] = {}
        for device, address, netmask in self._host.calls.network_addresses():
            if self._wanted(device):
                text, bits, scope = parse_address(address, netmask)
                keys[text, label(device), str(bits), scope] = None
        if keys:
            out.info(ADDRESS_INFO, *keys)


def _present(family: Family, keys: tuple[Key, ...], column: Sequence[int | None]) -> Block:
    """The column without its gaps."""
    values = [value for value in column if value is not None]
    if len(values) < len(keys):
        keys = tuple(key for key, value in zip(keys, column, strict=True) if value is not None)
    return Block(family, keys, values)
