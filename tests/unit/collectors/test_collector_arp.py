"""The arp collector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.collectors.arp import Arp
from agent.errors import ConfigError, Gone, Malformed
from agent.model import Writer
from agent.sources.host import Host

OPTIONS = {"device-include": "", "device-exclude": ""}
TITLES = "IP address       HW type     Flags       HW address            Mask     Device\n"
ARP = (
    TITLES
    + """\
192.0.2.1        0x1         0x2         02:fc:00:00:00:05     *        eth0
192.0.2.9        0x1         0x2         02:fc:00:00:00:05     *        cni0
192.0.2.2        0x1         0x0         00:00:00:00:00:00     *        eth0
192.0.2.7        0x1         0xc         00:00:00:00:00:00     *        eth0
"""
)


def test_entries_are_by_device(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """Without the addresses that the node answers for as a proxy."""
    samples = collect(Arp(make_host({"proc/1/net/arp": ARP}), OPTIONS))
    assert samples == {'node_arp_entries{device="eth0"}': 2, 'node_arp_entries{device="cni0"}': 1}


@pytest.mark.parametrize("option", [{"device-include": "^e"}, {"device-exclude": "ni"}])
def test_devices_are_chosen_by_a_regexp(
    make_host: Callable[..., Host], collect: Callable[..., Any], option: dict[str, str]
) -> None:
    """Found anywhere in the name, as in Go."""
    samples = collect(Arp(make_host({"proc/1/net/arp": ARP}), OPTIONS | option))
    assert samples == {'node_arp_entries{device="eth0"}': 2}


def test_include_and_exclude_exclude_each_other(make_host: Callable[..., Host]) -> None:
    """As the flags' help says."""
    with pytest.raises(ConfigError, match="device-include"):
        Arp(make_host({}), {"device-include": "a", "device-exclude": "b"})


def test_no_entries_is_no_series(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """A device without neighbours is not listed, as node_exporter has it."""
    assert collect(Arp(make_host({"proc/net/arp": TITLES}), OPTIONS)) == {}


@pytest.mark.parametrize(("files", "error"), [({}, Gone), ({"proc/net/arp": "garbage"}, Malformed)])
def test_without_the_file_there_is_nothing(
    make_host: Callable[..., Host], collect: Callable[..., Any], files: dict[str, str], error: type[Exception]
) -> None:
    """Missing and garbage."""
    with pytest.raises(error):
        collect(Arp(make_host(files), OPTIONS))


def test_keys_are_the_same_object_whatever_the_order_of_the_entries(make_host: Callable[..., Host]) -> None:
    """The kernel lists a hash table."""
    collector = Arp(make_host({"proc/net/arp": ARP}), OPTIONS)
    first, second = Writer(), Writer()
    collector.collect(first)
    make_host({"proc/net/arp": TITLES + "".join(reversed(ARP.splitlines(keepends=True)[1:]))})
    collector.collect(second)
    assert first.blocks[0].keys is second.blocks[0].keys
