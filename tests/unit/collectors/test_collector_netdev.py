"""The netdev collector."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.collectors.netdev import Netdev
from agent.errors import ConfigError, Gone, Malformed, Unsupported
from agent.model import Writer
from agent.sources.calls import NetworkAddress
from agent.sources.host import Host
from agent.sources.net_dev import Statistics

OPTIONS: dict[str, Any] = {
    "device-include": "",
    "device-exclude": "",
    "address-info": False,
    "enable-detailed-metrics": False,
    "label-ifalias": False,
}
NET_DEV = b"""\
Inter-|   Receive                                                |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
    lo: 100 101 102 103 104 105 106 107 108 109 110 111 112 113 114 115
  eth0: 200 201 202 203 204 205 206 207 208 209 210 211 212 213 214 215
"""
NAMES = [
    "receive_bytes",
    "receive_packets",
    "receive_errs",
    "receive_drop",
    "receive_fifo",
    "receive_frame",
    "receive_compressed",
    "receive_multicast",
    "transmit_bytes",
    "transmit_packets",
    "transmit_errs",
    "transmit_drop",
    "transmit_fifo",
    "transmit_colls",
    "transmit_carrier",
    "transmit_compressed",
]
FILES = {
    "proc/1/net/dev": NET_DEV,
    "sys/class/net/lo/statistics/rx_nohandler": "7\n",
    "sys/class/net/eth0/statistics/rx_nohandler": "0\n",
}


def series(name: str, device: str) -> str:
    return f'node_network_{name}_total{{device="{device}"}}'


def test_each_column_is_a_counter_per_device(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """Under the names of node_exporter, and what found no handler from sysfs."""
    samples = collect(Netdev(make_host(FILES), OPTIONS))
    expected = {series(name, "lo"): 100 + n for n, name in enumerate(NAMES)}
    expected |= {series(name, "eth0"): 200 + n for n, name in enumerate(NAMES)}
    expected |= {series("receive_nohandler", "lo"): 7, series("receive_nohandler", "eth0"): 0}
    assert samples == expected
    assert "# HELP node_network_receive_bytes_total Network device statistic receive_bytes.\n" in samples.text
    assert "# TYPE node_network_transmit_colls_total counter\n" in samples.text


@pytest.mark.parametrize("option", [{"device-include": "^lo"}, {"device-exclude": "th"}])
def test_devices_are_chosen_by_a_regexp(
    make_host: Callable[..., Host], collect: Callable[..., Any], option: dict[str, str]
) -> None:
    """Found anywhere in the name, as in Go."""
    samples = collect(Netdev(make_host(FILES), OPTIONS | option))
    assert {key.partition("{")[2] for key in samples} == {'device="lo"}'}


def test_include_and_exclude_exclude_each_other(make_host: Callable[..., Host]) -> None:
    """As the flags' help says."""
    with pytest.raises(ConfigError, match="device-include"):
        Netdev(make_host(FILES), OPTIONS | {"device-include": "a", "device-exclude": "b"})


def test_a_device_without_nohandler_has_the_rest(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """It vanished between the two files."""
    samples = collect(Netdev(make_host({k: v for k, v in FILES.items() if "eth0" not in k}), OPTIONS))
    assert samples[series("receive_bytes", "eth0")] == 200
    assert samples[series("receive_nohandler", "lo")] == 7
    assert series("receive_nohandler", "eth0") not in samples
    assert samples.errors == []


def test_where_no_device_has_nohandler_it_is_said(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """An old kernel, or a recording without the statistics."""
    samples = collect(Netdev(make_host({"proc/1/net/dev": NET_DEV}), OPTIONS))
    assert len(samples) == 32
    assert [type(error) for error in samples.errors] == [Unsupported]


def test_no_devices_is_no_series(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """Neither an error nor a 0."""
    titles = b"".join(NET_DEV.splitlines(keepends=True)[:2])
    samples = collect(Netdev(make_host({"proc/1/net/dev": titles}), OPTIONS))
    assert (samples, samples.errors) == ({}, [])


@pytest.mark.parametrize(("content", "error"), [(None, Gone), (b"garbage", Malformed)])
def test_without_net_dev_there_is_nothing(
    make_host: Callable[..., Host], collect: Callable[..., Any], content: bytes | None, error: type[Exception]
) -> None:
    """Missing and garbage."""
    with pytest.raises(error):
        collect(Netdev(make_host({} if content is None else {"proc/net/dev": content}), OPTIONS))


def test_details_replace_the_sums(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """Every statistics file under its own name, without net/dev; bonding_masters is no device."""
    files = {f"sys/class/net/eth0/statistics/{name}": f"{n}\n" for n, name in enumerate(Statistics._fields)}
    host = make_host(files | {"sys/class/net/bonding_masters": "\n", "sys/class/net/lo/statistics/rx_bytes": "9\n"})
    samples = collect(Netdev(host, OPTIONS | {"enable-detailed-metrics": True}))
    assert len(samples) == len(Statistics._fields) + 1
    assert samples[series("receive_errors", "eth0")] == Statistics._fields.index("rx_errors")
    assert samples[series("transmit_aborted_errors", "eth0")] == Statistics._fields.index("tx_aborted_errors")
    assert samples[series("multicast", "eth0")] == Statistics._fields.index("multicast")
    assert samples[series("receive_bytes", "lo")] == 9


def test_details_without_devices_are_no_series(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """Neither an error nor a 0."""
    host = make_host({"sys/class/net/bonding_masters": "\n"})
    assert collect(Netdev(host, OPTIONS | {"enable-detailed-metrics": True})) == {}


def test_the_alias_is_a_label(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """Read at every collection; empty where there is none."""
    host = make_host(FILES | {"sys/class/net/eth0/ifalias": 'up"link\n'})
    collector = Netdev(host, OPTIONS | {"label-ifalias": True})
    samples = collect(collector)
    assert samples['node_network_receive_bytes_total{device="eth0",ifalias="up\\"link"}'] == 200
    assert samples['node_network_receive_bytes_total{device="lo",ifalias=""}'] == 100
    make_host({"sys/class/net/eth0/ifalias": "other\n"})
    assert 'node_network_receive_bytes_total{device="eth0",ifalias="other"}' in collect(collector)


def test_addresses_are_information(make_host: Callable[..., Host], collect: Callable[..., Any], calls: Any) -> None:
    """Each once, of the devices that are reported."""
    calls.network_addresses = lambda: [
        NetworkAddress("lo", "127.0.0.1", "255.0.0.0"),
        NetworkAddress("eth0", "192.0.2.1", "255.255.255.0"),
        NetworkAddress("eth0", "192.0.2.1", "255.255.255.0"),
        NetworkAddress("eth0", "fe80::1%eth0", "ffff:ffff:ffff:ffff::"),
    ]
    samples = collect(Netdev(make_host(FILES), OPTIONS | {"address-info": True, "device-exclude": "lo"}))
    assert {key: value for key, value in samples.items() if "address" in key} == {
        'node_network_address_info{address="192.0.2.1",device="eth0",netmask="24",scope="global"}': 1,
        'node_network_address_info{address="fe80::1",device="eth0",netmask="64",scope="link-local"}': 1,
    }


def test_addresses_of_another_namespace_are_not_given(
    make_host: Callable[..., Host], collect: Callable[..., Any], calls: Any
) -> None:
    """A pod's addresses are not the node's; the rest is."""
    calls.sees_host_network = False
    samples = collect(Netdev(make_host(FILES), OPTIONS | {"address-info": True}))
    assert len(samples) == 34
    assert [type(error) for error in samples.errors] == [Unsupported]


def test_a_name_that_is_not_utf8_is_still_its_own(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """Two such devices are two series, and the exposition stays UTF-8."""
    files = {"proc/net/dev": NET_DEV.replace(b"  lo:", b"e\xff0:").replace(b"eth0", b"e\xfe0 ")}
    files["proc/net/dev"] = files["proc/net/dev"].replace(b"e\xfe0 :", b"e\xfe0:")
    samples = collect(Netdev(make_host(files), OPTIONS))
    assert samples[series("receive_bytes", "e\\\\xff0")] == 100
    assert samples[series("receive_bytes", "e\\\\xfe0")] == 200


def test_keys_are_the_same_object_while_the_devices_are(make_host: Callable[..., Host]) -> None:
    """With and without the alias; a renderer keeps what it made of them."""
    for option in ({}, {"label-ifalias": True}):
        collector = Netdev(make_host(FILES), OPTIONS | option)
        first, second = Writer(), Writer()
        collector.collect(first)
        collector.collect(second)
        assert [block.keys is other.keys for block, other in zip(first.blocks, second.blocks, strict=True)] == [
            True
        ] * 17


def test_a_vanished_device_ends_its_series_and_lets_go_of_its_files(
    make_host: Callable[..., Host], collect: Callable[..., Any], tmp_path: Path
) -> None:
    """A device of that name that comes later has its own numbers."""
    host = make_host(FILES)
    collector = Netdev(host, OPTIONS)
    collect(collector)
    without = b"".join(line for line in NET_DEV.splitlines(keepends=True) if b"eth0" not in line)
    make_host({"proc/1/net/dev": without})
    shutil.rmtree(tmp_path / "sys/class/net/eth0")
    assert not any("eth0" in key for key in collect(collector))
    make_host({**FILES, "sys/class/net/eth0/statistics/rx_nohandler": "3\n"})
    assert collect(collector)[series("receive_nohandler", "eth0")] == 3
