"""How much memory waits in the queues of all UDP sockets: in the receive queues, for applications that are slow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.errors import Absent, Gone
from agent.model import Declared, Family, Key, Part, Writer
from agent.sources.host import Host
from agent.sources.udp_queues import read_udp_queues

QUEUES = Family(
    "node_udp_queues",
    "gauge",
    "Number of allocated memory in the kernel for UDP datagrams in bytes.",
    ("ip", "queue"),
)
_FILES: Final = {"udp": "v4", "udp6": "v6"}


class UdpQueues:
    name: Final = "udp_queues"
    part: Final[Part] = "node"
    families: Final[Declared] = (QUEUES,)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._host = host
        self._keys: tuple[Key, ...] = ()

    def collect(self, out: Writer) -> None:
        values: dict[Key, int] = {}
        missing = 0
        for file, ip in _FILES.items():
            with out.optional:
                try:
                    queues = read_udp_queues(self._host.procfs, self._host.net(file))
                    values[ip, "rx"] = queues.receive_bytes
                    values[ip, "tx"] = queues.transmit_bytes
                except Gone:
                    missing += 1  # a kernel without this address family: nothing is wrong
        if missing == len(_FILES):
            raise Absent(self._host.procfs / self._host.net("udp"), "neither udp nor udp6")
        if tuple(values) != self._keys:
            self._keys = tuple(values)
        out.many(QUEUES, self._keys, list(values.values()))
