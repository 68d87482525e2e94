"""``/sys/class/net/<device>``: what each network device is and in which state.

Source: <sysfs>/class/net/<device>/*, ABI sysfs-class-net. Since: 2.6; carrier_changes 3.15, carrier_up_count 4.16.
Shape: one number or text per attribute; flags and dev_id are hexadecimal. Units: bytes (mtu), packets (tx_queue_len),
Mbit/s (speed; -1 where the driver does not know it). Errors: Malformed.
Cost: 2 us per attribute on kept descriptors, 40 us per device.

Not every device has every attribute. One that is missing, or refuses to be read, will do so for as long as the
device exists, and its ifindex is never given to another: it is asked once per ifindex. ``OF_A_RUNNING_DEVICE`` are the
exceptions, which the kernel refuses while the device is down (then we do not ask), and which a driver may refuse
today and answer tomorrow. ``OF_ITS_IDENTITY`` are what a device is made with and keeps: read once per ifindex too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from agent.errors import Denied, Gone, Malformed, Unsupported
from agent.sources.root import Root

IFF_UP: Final = 1
DIRECTORY: Final = "class/net"
NOT_DEVICES: Final = frozenset(("bonding_masters",))  # the one regular file among the links
OF_A_RUNNING_DEVICE: Final = frozenset(("carrier", "dormant", "duplex", "speed"))
OF_ITS_IDENTITY: Final = frozenset(("dev_id", "name_assign_type"))


class Interface(NamedTuple):
    """One device. None is what it cannot tell, now or ever."""

    name: str
    address: str | None
    broadcast: str | None
    duplex: str | None
    ifalias: str | None
    operstate: str | None
    addr_assign_type: int | None
    carrier: int | None
    carrier_changes: int | None
    carrier_down_count: int | None
    carrier_up_count: int | None
    dev_id: int | None
    dormant: int | None
    flags: int | None
    ifindex: int | None
    iflink: int | None
    link_mode: int | None
    mtu_bytes: int | None
    name_assign_type: int | None
    netdev_group: int | None
    speed_mbits: int | None
    tx_queue_len: int | None
    type: int | None


_TEXTS: Final = Interface._fields[1:6]
_NUMBERS: Final = Interface._fields[6:]
_FILES: Final = {"mtu_bytes": "mtu", "speed_mbits": "speed"}
ATTRIBUTES: Final = tuple(_FILES.get(field, field) for field in (*_TEXTS, *_NUMBERS))
_FLAGS: Final = ATTRIBUTES.index("flags")
_IFINDEX: Final = ATTRIBUTES.index("ifindex")


def parse_interface(name: str, attributes: Sequence[bytes | None]) -> Interface:
    """``attributes`` are the contents of ``ATTRIBUTES``, in that order."""
    split = len(_TEXTS)
    texts = [None if text is None else text.decode("utf-8", "replace").strip() for text in attributes[:split]]
    try:
        numbers = [None if number is None else int(number, 0) for number in attributes[split:]]
        return Interface._make((name, *texts, *numbers))
    except (ValueError, TypeError):
        raise Malformed(f"{DIRECTORY}/{name}", "a number per attribute expected", repr(attributes[split:])) from None


class Device:
    """One name below class/net, read again and again, and which of its attributes are worth asking for."""

    __slots__ = (
        "_attributes",
        "_directory",
        "_identity",
        "_ifindex",
        "_interface",
        "_of_running",
        "_others",
        "_sysfs",
        "name",
    )

    def __init__(self, sysfs: Root, name: str) -> None:
        self.name = name
        self._sysfs = sysfs
        self._directory = f"{DIRECTORY}/{name}"
        self._ifindex = b""
        self._attributes: list[bytes | None] = []
        self._interface: Interface | None = None
        self._identity: list[bytes | None] = [None] * len(ATTRIBUTES)
        self._of_running: dict[int, str] = {}
        self._others: dict[int, str] = {}

    def read(self) -> Interface | None:
        """The device as it is now, or None when there is none of this name any more.

        Every attribute is read; when none has changed, this is the same object as the last time.
        """
        try:
            ifindex = self._sysfs.attribute(f"{self._directory}/ifindex")
            if ifindex != self._ifindex:
                self._meet(ifindex)
            attributes = self._identity.copy()
            self._read_into(attributes, self._others)
            flags = attributes[_FLAGS]
            if flags is None or _is_up(flags):
                self._read_into(attributes, self._of_running)
        except Gone:
            return None
        if attributes != self._attributes:
            self._interface = parse_interface(self.name, attributes)
            self._attributes = attributes
        return self._interface

    def _meet(self, ifindex: bytes) -> None:
        """Another device than the last of this name: it may have what that one had not."""
        paths = {slot: f"{self._directory}/{file}" for slot, file in enumerate(ATTRIBUTES) if slot != _IFINDEX}
        identity = {slot: path for slot, path in paths.items() if ATTRIBUTES[slot] in OF_ITS_IDENTITY}
        self._of_running = {slot: path for slot, path in paths.items() if ATTRIBUTES[slot] in OF_A_RUNNING_DEVICE}
        self._others = {slot: path for slot, path in paths.items() if slot not in self._of_running | identity}
        self._identity = [None] * len(ATTRIBUTES)
        self._identity[_IFINDEX] = ifindex
        self._read_into(self._identity, identity)
        self._ifindex = ifindex

    def _read_into(self, attributes: list[bytes | None], paths: dict[int, str]) -> None:
        attribute, never = self._sysfs.attribute, []
        for slot, path in paths.items():
            try:
                attributes[slot] = attribute(path)
            except Gone:
                if not self._sysfs.exists(self._directory):
                    raise
                never.append(slot)
            except (Unsupported, Denied):
                if ATTRIBUTES[slot] not in OF_A_RUNNING_DEVICE:
                    never.append(slot)
        for slot in never:
            del paths[slot]


def _is_up(flags: bytes) -> bool:
    try:
        return bool(int(flags, 0) & IFF_UP)
    except ValueError:
        return True  # parse_interface will say what is wrong


class NetClass:
    """The devices of one sysfs. ``wanted`` is asked once per name. Threads: one at a time."""

    __slots__ = ("_devices", "_names", "_sysfs", "_wanted")

    def __init__(self, sysfs: Root, wanted: Callable[[str], bool]) -> None:
        self._sysfs = sysfs
        self._wanted = wanted
        self._names: list[str] = []
        self._devices: dict[str, Device] = {}

    def devices(self) -> list[Device]:
        """The devices there are now, sorted by name. Descriptors of vanished ones are let go."""
        names = self._sysfs.list(DIRECTORY)
        if names != self._names:
            for vanished in set(self._names).difference(names):
                self._sysfs.forget(f"{DIRECTORY}/{vanished}/")
            self._devices = {
                name: self._devices.get(name) or Device(self._sysfs, name)
                for name in names
                if name not in NOT_DEVICES and self._wanted(name)
            }
            self._names = names
        return list(self._devices.values())
