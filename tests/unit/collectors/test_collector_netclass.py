"""The netclass collector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.collectors.netclass import Netclass
from agent.errors import Gone, Malformed
from agent.model import Writer
from agent.sources.host import Host

OPTIONS: dict[str, Any] = {"ignored-devices": "^$", "ignore-invalid-speed": False}
ETH0 = {
    "address": "02:fc:00:00:00:01",
    "broadcast": "ff:ff:ff:ff:ff:ff",
    "duplex": "full",
    "ifalias": "up\\link",
    "operstate": "up",
    "addr_assign_type": "3",
    "carrier": "1",
    "carrier_changes": "11",
    "carrier_down_count": "5",
    "carrier_up_count": "6",
    "dev_id": "0x20",
    "dormant": "0",
    "flags": "0x1003",
    "ifindex": "4",
    "iflink": "7",
    "link_mode": "2",
    "mtu": "1400",
    "name_assign_type": "8",
    "netdev_group": "9",
    "speed": "10000",
    "tx_queue_len": "1000",
    "type": "772",
}
VALUES = {
    "address_assign_type": 3,
    "carrier": 1,
    "carrier_changes_total": 11,
    "carrier_down_changes_total": 5,
    "carrier_up_changes_total": 6,
    "device_id": 32,
    "dormant": 0,
    "flags": 4099,
    "iface_id": 4,
    "iface_link": 7,
    "iface_link_mode": 2,
    "mtu_bytes": 1400,
    "name_assign_type": 8,
    "net_dev_group": 9,
    "protocol_type": 772,
    "speed_bytes": 1_250_000_000,
    "transmit_queue_length": 1000,
    "up": 1,
}


def device(name: str, **changed: str) -> dict[str, str]:
    """The files of one device; a change to an empty text takes the file away."""
    return {f"sys/class/net/{name}/{file}": f"{text}\n" for file, text in {**ETH0, **changed}.items() if text}


def series(name: str, device: str) -> str:
    return f'node_network_{name}{{device="{device}"}}'


def test_each_attribute_is_a_family(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """Under the names of node_exporter, speed in bytes; what is not a number is a label."""
    samples = collect(Netclass(make_host(device("eth0")), OPTIONS))
    info = (
        'node_network_info{address="02:fc:00:00:00:01",adminstate="up",broadcast="ff:ff:ff:ff:ff:ff",device="eth0",'
        'duplex="full",ifalias="up\\\\link",operstate="up"}'
    )
    assert samples == {series(name, "eth0"): value for name, value in VALUES.items()} | {info: 1}
    assert samples.errors == []
    assert "# TYPE node_network_carrier_changes_total counter\n" in samples.text
    assert "# HELP node_network_mtu_bytes Network device property: mtu_bytes\n" in samples.text


def test_what_a_device_cannot_tell_is_absent(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """Not 0; in the information it is an empty label."""
    files = {"sys/class/net/lo/ifindex": "1\n", "sys/class/net/lo/mtu": "65536\n"}
    samples = collect(Netclass(make_host(device("eth0") | files), OPTIONS))
    labels = 'address="",adminstate="unknown",broadcast="",device="lo",duplex="",ifalias="",operstate=""'
    assert {key: value for key, value in samples.items() if 'device="lo"' in key} == {
        series("iface_id", "lo"): 1,
        series("mtu_bytes", "lo"): 65536,
        f"node_network_info{{{labels}}}": 1,
    }
    assert samples[series("speed_bytes", "eth0")] == 1_250_000_000


def test_a_device_that_is_down_is_not_up(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """It has neither carrier nor speed; unknown is not up either."""
    files = device("eth0", flags="0x1002", operstate="down") | device("lo", operstate="unknown")
    samples = collect(Netclass(make_host(files), OPTIONS))
    assert (samples[series("up", "eth0")], samples[series("up", "lo")]) == (0, 0)
    for name in ("carrier", "dormant", "speed_bytes"):
        assert series(name, "eth0") not in samples
        assert series(name, "lo") in samples
    assert any('adminstate="down"' in key and 'device="eth0",duplex=""' in key for key in samples)


@pytest.mark.parametrize(("ignore", "expected"), [(False, -125_000), (True, None)])
def test_a_speed_that_the_driver_does_not_know(
    make_host: Callable[..., Host], collect: Callable[..., Any], ignore: bool, expected: int | None
) -> None:
    """Is -1 Mbit/s in bytes, or left out; 0 is always a speed."""
    files = device("eth0", speed="-1") | device("eth1", speed="0")
    samples = collect(Netclass(make_host(files), OPTIONS | {"ignore-invalid-speed": ignore}))
    assert samples.get(series("speed_bytes", "eth0")) == expected
    assert samples[series("speed_bytes", "eth1")] == 0


def test_devices_are_ignored_by_a_regexp(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """Found anywhere in the name, as in Go."""
    files = device("eth0") | device("veth1") | device("eth2")
    samples = collect(Netclass(make_host(files), OPTIONS | {"ignored-devices": "veth|2"}))
    assert [key for key in samples if "_up{" in key] == [series("up", "eth0")]


def test_a_malformed_device_costs_only_itself(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """It is said; the others are there."""
    samples = collect(Netclass(make_host(device("eth0", mtu="garbage") | device("eth1")), OPTIONS))
    assert [key for key in samples if "_up{" in key] == [series("up", "eth1")]
    assert [type(error) for error in samples.errors] == [Malformed]


def test_no_devices_is_no_series(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """Neither an error nor a 0."""
    samples = collect(Netclass(make_host({"sys/class/net/bonding_masters": "\n"}), OPTIONS))
    assert (samples, samples.errors) == ({}, [])


def test_without_sysfs_there_is_nothing(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """The whole collector fails."""
    with pytest.raises(Gone):
        collect(Netclass(make_host({}), OPTIONS))


def test_keys_are_the_same_object_while_the_devices_are(make_host: Callable[..., Host]) -> None:
    """Also for families that some device lacks; a change of state changes only what it must."""
    collector = Netclass(make_host(device("eth0", speed="") | device("eth1")), OPTIONS)
    first, second = Writer(), Writer()
    collector.collect(first)
    collector.collect(second)
    assert len(first.blocks) == len(VALUES) + 1
    assert all(one.keys is other.keys for one, other in zip(first.blocks, second.blocks, strict=True))


def test_a_new_device_gets_its_series(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """And the columns stay with their devices."""
    collector = Netclass(make_host(device("eth1", speed="")), OPTIONS)
    collect(collector)
    make_host(device("eth0", mtu="9000"))
    samples = collect(collector)
    assert (samples[series("mtu_bytes", "eth0")], samples[series("mtu_bytes", "eth1")]) == (9000, 1400)
    assert [key for key in samples if "speed" in key] == [series("speed_bytes", "eth0")]


def test_a_name_that_is_not_utf8_is_a_label(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """The exposition stays UTF-8."""
    samples = collect(Netclass(make_host(device("e\udcff0")), OPTIONS))
    assert samples[series("mtu_bytes", "e\\\\xff0")] == 1400
