"""A node whose procfs hides the processes of others (hidepid), PID 1 among them, from a pod."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.collectors import CATALOG
from agent.errors import Denied, SourceError
from agent.model import Writer
from agent.sources.host import Host

NET_DEV = "Inter-|   Receive  |  Transmit\n face |bytes |bytes\n  eth0: 7 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n"
# What the pod's own network answers there: well-formed, and not the node's.
PODS = {
    "proc/self/comm": "headroom\n",
    "proc/net/dev": NET_DEV,
    "proc/net/arp": "IP address  HW type  Flags  HW address  Mask  Device\n10.0.0.1 0x1 0x2 02:00:00:00:00:01 * eth0\n",
    "proc/net/snmp": "Tcp: InSegs OutSegs\nTcp: 1 2\n",
    "proc/net/sockstat": "sockets: used 3\nTCP: inuse 1\n",
    "proc/net/softnet_stat": "00000001 " * 9 + "\n",
    "proc/net/udp": "  sl  local_address rem_address   st tx_queue rx_queue tr\n",
    "proc/net/stat/nf_conntrack": "entries found\n00000001 00000002\n",
    "proc/net/rpc/nfs": "net 0 0 0 0\n",
}


@pytest.mark.parametrize(
    "name", ["arp", "conntrack", "ipvs", "netdev", "netstat", "nfs", "nfsd", "sockstat", "softnet", "udp_queues"]
)
def test_the_pods_network_is_not_the_nodes(make_host: Callable[..., Host], calls: object, name: str) -> None:
    """Without a way to PID 1's network nothing is said of the node's, and that is not taken for there being none."""
    calls.sees_host_network = False  # type: ignore[attr-defined]
    host = make_host(PODS)
    (entry,) = (entry for entry in CATALOG if entry.name == name)
    collector = entry.load()(host, {setting.key.split(".", 2)[2]: setting.default for setting in entry.settings})
    out, errors = Writer(), []
    try:
        collector.collect(out)
    except SourceError as error:
        errors.append(error)
    errors += out.errors
    assert out.blocks == []
    assert errors
    assert all(type(error) is Denied and "hidepid" in error.detail for error in errors)
