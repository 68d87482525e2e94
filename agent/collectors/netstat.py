"""What the protocols count: segments and datagrams, retransmissions, overflows; by default only the telling ones.

A field whose protocol the kernel lacks is not there: without IPv6, all of ``snmp6``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from agent.errors import Gone
from agent.model import Declared, Family, FamilyRule, Part, Writer
from agent.sources.host import Host
from agent.sources.net_snmp import Name, Snmp6Table, SnmpTable

STATISTIC = FamilyRule("node_netstat_{}", "untyped", "Statistic {}.")


class Netstat:
    name: Final = "netstat"
    part: Final[Part] = "node"
    families: Final[Declared] = (STATISTIC,)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._host = host
        self._matches = re.compile(options["fields"]).search
        self._snmp = SnmpTable(self._wanted)
        self._netstat = SnmpTable(self._wanted)
        self._snmp6 = Snmp6Table(self._wanted)
        self._families: dict[Name, Family] = {}

    def collect(self, out: Writer) -> None:
        self._write(out, self._snmp, "snmp")
        with out.optional:
            self._write(out, self._netstat, "netstat")
        with out.optional:
            try:
                self._write(out, self._snmp6, "snmp6")
            except Gone:
                pass  # a kernel without IPv6: nothing is missing

    def _write(self, out: Writer, table: SnmpTable | Snmp6Table, file: str) -> None:
        names, values = table.read(self._host.procfs, self._host.net(file))
        for name, value in zip(names, values, strict=True):
            out.one(self._families.get(name) or self._family(name), value)

    def _wanted(self, name: Name) -> bool:
        return self._matches("_".join(name)) is not None

    def _family(self, name: Name) -> Family:
        """``node_netstat_Tcp_InSegs``, whose HELP says TcpInSegs."""
        protocol, field = name
        help = f"Statistic {protocol}{field}."
        self._families[name] = family = Family(f"node_netstat_{protocol}_{field}", "untyped", help, (), STATISTIC)
        return family
