"""The netstat collector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.collectors import CATALOG
from agent.collectors.netstat import Netstat
from agent.errors import Gone, Malformed
from agent.sources.host import Host

(ENTRY,) = (entry for entry in CATALOG if entry.name == "netstat")
OPTIONS = {"fields": ENTRY.settings[0].default}
FILES = {
    "proc/1/net/snmp": (
        "Ip: Forwarding DefaultTTL InReceives\nIp: 2 64 3317\n"
        "Icmp: InMsgs InErrors\nIcmp: 1 3\n"
        "Tcp: MaxConn ActiveOpens InErrs\nTcp: -1 32 4\n"
    ),
    "proc/1/net/netstat": (
        "TcpExt: SyncookiesSent PruneCalled ListenDrops ListenOverflows\nTcpExt: 5 6 7 8\n"
        "IpExt: InOctets OutOctets\nIpExt: 18446744073709551615 10\n"
    ),
    "proc/1/net/snmp6": "Ip6InReceives\t1\nIp6InOctets\t11\nIcmp6InErrors\t12\nUdpLite6InErrors\t13\n",
}
EXPECTED = {
    "node_netstat_Ip_Forwarding": 2,
    "node_netstat_Icmp_InMsgs": 1,
    "node_netstat_Icmp_InErrors": 3,
    "node_netstat_Tcp_ActiveOpens": 32,
    "node_netstat_Tcp_InErrs": 4,
    "node_netstat_TcpExt_SyncookiesSent": 5,
    "node_netstat_TcpExt_ListenDrops": 7,
    "node_netstat_TcpExt_ListenOverflows": 8,
    "node_netstat_IpExt_InOctets": float(2**64 - 1),
    "node_netstat_IpExt_OutOctets": 10,
    "node_netstat_Ip6_InOctets": 11,
    "node_netstat_Icmp6_InErrors": 12,
    "node_netstat_UdpLite6_InErrors": 13,
}


def test_the_telling_fields_are_untyped(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """Of all three files, by the default regexp; HELP names the field without the underscore."""
    samples = collect(Netstat(make_host(FILES), OPTIONS))
    assert samples == EXPECTED
    assert samples.errors == []
    assert "# HELP node_netstat_TcpExt_ListenDrops Statistic TcpExtListenDrops.\n" in samples.text
    assert samples.text.count("# TYPE") == samples.text.count(" untyped\n") == len(EXPECTED)


def test_the_fields_are_a_setting(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """Found anywhere in protocol_field, as in Go."""
    samples = collect(Netstat(make_host(FILES), {"fields": "p_MaxC|Receives"}))
    assert samples == {
        "node_netstat_Tcp_MaxConn": -1,
        "node_netstat_Ip_InReceives": 3317,
        "node_netstat_Ip6_InReceives": 1,
    }


def test_without_ipv6_nothing_is_missing(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """Its fields are not there, and that is no error."""
    samples = collect(Netstat(make_host({k: v for k, v in FILES.items() if "snmp6" not in k}), OPTIONS))
    assert samples == {key: value for key, value in EXPECTED.items() if "6_" not in key}
    assert samples.errors == []


@pytest.mark.parametrize(("content", "error"), [(None, Gone), ("garbage", Malformed)])
def test_a_missing_or_broken_file_costs_its_own_fields(
    make_host: Callable[..., Host], collect: Callable[..., Any], content: str | None, error: type[Exception]
) -> None:
    """It is said; those of the others are there."""
    files = FILES | {"proc/1/net/netstat": content}
    samples = collect(Netstat(make_host({k: v for k, v in files.items() if v is not None}), OPTIONS))
    assert samples == {key: value for key, value in EXPECTED.items() if "Ext_" not in key}
    assert [type(error) for error in samples.errors] == [error]


def test_without_snmp_there_is_nothing(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """Every kernel with a network has it."""
    with pytest.raises(Gone):
        collect(Netstat(make_host({}), OPTIONS))


def test_fields_keep_their_families_when_columns_move(
    make_host: Callable[..., Host], collect: Callable[..., Any]
) -> None:
    """A family is one object for as long as the process lives."""
    collector = Netstat(make_host(FILES), OPTIONS)
    collect(collector)
    before = dict(collector._families)
    make_host({"proc/1/net/snmp": "Tcp: InErrs New ActiveOpens\nTcp: 40 41 42\n"})
    samples = collect(collector)
    assert (samples["node_netstat_Tcp_InErrs"], samples["node_netstat_Tcp_ActiveOpens"]) == (40, 42)
    assert all(collector._families[name] is family for name, family in before.items())
