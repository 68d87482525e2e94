"""``/sys/class/net/<device>``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Denied, Gone, Malformed, SourceError, Unsupported
from agent.sources.host import Host
from agent.sources.net_class import ATTRIBUTES, OF_A_RUNNING_DEVICE, Interface, NetClass, parse_interface
from agent.sources.root import Root

CONTENTS = {
    "address": "02:fc:00:00:00:01",
    "broadcast": "ff:ff:ff:ff:ff:ff",
    "duplex": "full",
    "ifalias": "uplink",
    "operstate": "up",
    "addr_assign_type": "3",
    "carrier": "1",
    "carrier_changes": "2",
    "carrier_down_count": "5",
    "carrier_up_count": "6",
    "dev_id": "0x20",
    "dormant": "0",
    "flags": "0x1003",
    "ifindex": "4",
    "iflink": "7",
    "link_mode": "0",
    "mtu": "1400",
    "name_assign_type": "8",
    "netdev_group": "9",
    "speed": "10000",
    "tx_queue_len": "1000",
    "type": "1",
}
ETH0 = Interface(
    name="eth0",
    address="02:fc:00:00:00:01",
    broadcast="ff:ff:ff:ff:ff:ff",
    duplex="full",
    ifalias="uplink",
    operstate="up",
    addr_assign_type=3,
    carrier=1,
    carrier_changes=2,
    carrier_down_count=5,
    carrier_up_count=6,
    dev_id=32,
    dormant=0,
    flags=4099,
    ifindex=4,
    iflink=7,
    link_mode=0,
    mtu_bytes=1400,
    name_assign_type=8,
    netdev_group=9,
    speed_mbits=10000,
    tx_queue_len=1000,
    type=1,
)


def device(name: str, **changed: str) -> dict[str, str]:
    """The files of one device; a change to an empty text takes the file away."""
    contents = {**CONTENTS, **changed}
    return {f"sys/class/net/{name}/{file}": f"{text}\n" for file, text in contents.items() if text}


class Sysfs(Root):
    """A sysfs that refuses what it is told to, and remembers what it was asked. Like sysfs it has no stale files."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.refused: dict[str, SourceError] = {}
        self.asked: list[str] = []
        self.vanishing: str | None = None

    def attribute(self, relative: str) -> bytes:
        self.asked.append(relative)
        if relative == self.vanishing:
            shutil.rmtree(os.path.dirname(self / relative))
        if relative in self.refused:
            raise self.refused[relative]
        return self.read_once(relative).rstrip(b"\n")

    def times(self, relative: str) -> int:
        return self.asked.count(relative)


def everything(name: str) -> bool:
    return True


@pytest.fixture
def sysfs(tmp_path: Path) -> Sysfs:
    return Sysfs(str(tmp_path / "sys"))


def test_each_attribute_has_its_field() -> None:
    """Decimal, hexadecimal and text."""
    assert parse_interface("eth0", [CONTENTS[name].encode() for name in ATTRIBUTES]) == ETH0


def test_what_is_not_there_is_none() -> None:
    """Neither 0 nor an empty text; an empty ifalias is one that is there."""
    nothing = parse_interface("eth0", [None] * len(ATTRIBUTES))
    assert nothing == Interface("eth0", *(None,) * len(ATTRIBUTES))
    alias = ATTRIBUTES.index("ifalias")
    assert parse_interface("eth0", [b"" if slot == alias else None for slot in range(len(ATTRIBUTES))]).ifalias == ""


@given(st.lists(st.none() | st.binary(max_size=12), min_size=len(ATTRIBUTES), max_size=len(ATTRIBUTES)))
def test_any_bytes_give_an_interface_or_malformed(attributes: list[bytes | None]) -> None:
    """No other exception escapes."""
    try:
        assert parse_interface("eth0", attributes).name == "eth0"
    except Malformed:
        pass


def test_a_device_is_read_whole(make_host: Callable[..., Host]) -> None:
    """Every attribute of a device that is up."""
    host = make_host(device("eth0"))
    (eth0,) = NetClass(host.sysfs, everything).devices()
    assert eth0.read() == ETH0


def test_only_wanted_devices_are_looked_into(make_host: Callable[..., Host], sysfs: Sysfs) -> None:
    """Sorted, without the file of the bonding driver, and without what the settings ignore."""
    make_host({**device("eth1"), **device("eth0"), **device("veth1"), "sys/class/net/bonding_masters": "\n"})
    net_class = NetClass(sysfs, lambda name: not name.startswith("veth"))
    assert [device.name for device in net_class.devices()] == ["eth0", "eth1"]
    assert not any("veth" in path for path in sysfs.asked)


def test_a_device_that_is_down_is_not_asked_what_it_would_refuse(make_host: Callable[..., Host], sysfs: Sysfs) -> None:
    """Carrier, dormant, duplex and speed exist while it is up; when it comes up they are asked for."""
    make_host(device("eth0", flags="0x1002", operstate="down"))
    (eth0,) = NetClass(sysfs, everything).devices()
    down = eth0.read()
    assert down == ETH0._replace(
        flags=4098, operstate="down", carrier=None, dormant=None, duplex=None, speed_mbits=None
    )
    assert not [path for path in sysfs.asked if path.rpartition("/")[2] in OF_A_RUNNING_DEVICE]
    make_host(device("eth0"))
    assert eth0.read() == ETH0


@pytest.mark.parametrize("error", [Unsupported("x"), Denied("x")])
def test_what_a_device_refuses_is_asked_once_per_ifindex(
    make_host: Callable[..., Host], sysfs: Sysfs, error: SourceError
) -> None:
    """name_assign_type is refused where nobody knows it; another device of the same name is asked anew."""
    path = "class/net/eth0/name_assign_type"
    make_host(device("eth0"))
    sysfs.refused[path] = error
    (eth0,) = NetClass(sysfs, everything).devices()
    assert [eth0.read(), eth0.read()] == [ETH0._replace(name_assign_type=None)] * 2
    assert sysfs.times(path) == 1
    make_host(device("eth0", ifindex="5"))
    sysfs.refused.clear()
    assert eth0.read() == ETH0._replace(ifindex=5)


def test_a_missing_attribute_is_asked_once_per_ifindex(make_host: Callable[..., Host], sysfs: Sysfs) -> None:
    """Also one of a running device: a kernel without the file will not get it."""
    make_host(device("eth0", carrier_up_count="", dormant=""))
    (eth0,) = NetClass(sysfs, everything).devices()
    assert [eth0.read(), eth0.read()] == [ETH0._replace(carrier_up_count=None, dormant=None)] * 2
    assert sysfs.times("class/net/eth0/carrier_up_count") == sysfs.times("class/net/eth0/dormant") == 1


def test_a_speed_refused_now_may_be_told_later(make_host: Callable[..., Host], sysfs: Sysfs) -> None:
    """A driver may not know it yet."""
    make_host(device("eth0"))
    sysfs.refused["class/net/eth0/speed"] = Unsupported("x")
    (eth0,) = NetClass(sysfs, everything).devices()
    assert eth0.read() == ETH0._replace(speed_mbits=None)
    sysfs.refused.clear()
    assert eth0.read() == ETH0


def test_without_flags_everything_is_asked_for(make_host: Callable[..., Host], sysfs: Sysfs) -> None:
    """An incomplete recording still tells its speed."""
    make_host(device("eth0", flags=""))
    (eth0,) = NetClass(sysfs, everything).devices()
    assert eth0.read() == ETH0._replace(flags=None)


@pytest.mark.parametrize("at", ["ifindex", "mtu", "speed"])
def test_a_device_that_vanishes_meanwhile_is_none(make_host: Callable[..., Host], sysfs: Sysfs, at: str) -> None:
    """Whenever it happens; the others are not affected."""
    make_host({**device("eth0"), **device("eth1")})
    sysfs.vanishing = f"class/net/eth0/{at}"
    assert [device.read() for device in NetClass(sysfs, everything).devices()] == [None, ETH0._replace(name="eth1")]


def test_garbage_is_malformed(make_host: Callable[..., Host], sysfs: Sysfs) -> None:
    """It is said of which device."""
    for attribute in ("mtu", "flags", "ifindex"):
        make_host(device("eth0", **{attribute: "garbage"}))
        (eth0,) = NetClass(sysfs, everything).devices()
        with pytest.raises(Malformed, match="class/net/eth0"):
            eth0.read()
        make_host(device("eth0"))


def test_an_error_of_another_kind_is_not_hidden(make_host: Callable[..., Host], sysfs: Sysfs) -> None:
    """EIO is neither absence nor refusal."""
    make_host(device("eth0"))
    sysfs.refused["class/net/eth0/mtu"] = SourceError("class/net/eth0/mtu", "Input/output error")
    (eth0,) = NetClass(sysfs, everything).devices()
    with pytest.raises(SourceError, match="Input/output error"):
        eth0.read()


def test_descriptors_of_vanished_devices_are_let_go(make_host: Callable[..., Host], tmp_path: Path) -> None:
    """And a device stays the same object for as long as its name is there."""
    host = make_host({**device("eth0"), **device("eth1")})
    net_class, before = NetClass(host.sysfs, everything), len(os.listdir("/proc/self/fd"))
    eth0, eth1 = net_class.devices()
    assert eth0.read() is not None
    assert eth1.read() is not None
    assert len(os.listdir("/proc/self/fd")) == before + 2 * len(ATTRIBUTES)
    shutil.rmtree(tmp_path / "sys/class/net/eth1")
    assert net_class.devices() == [eth0]
    assert len(os.listdir("/proc/self/fd")) == before + len(ATTRIBUTES)


def test_without_the_directory_it_is_gone(make_host: Callable[..., Host]) -> None:
    """An empty list would say that there are none."""
    with pytest.raises(Gone):
        NetClass(make_host({}).sysfs, everything).devices()
