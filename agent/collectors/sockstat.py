"""How many sockets there are, by protocol and state, and the memory they hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.errors import Absent, Gone
from agent.model import Declared, Family, FamilyRule, Part, Writer
from agent.sources.host import Host
from agent.sources.sockstat import read_sockstat

SOCKETS_USED = Family("node_sockstat_sockets_used", "gauge", "Number of IPv4 sockets in use.")
STATES: Final = {
    state: FamilyRule(f"node_sockstat_{{}}_{state}", "gauge", f"Number of {{}} sockets in state {state}.")
    for state in ("inuse", "orphan", "tw", "alloc", "mem", "memory")
}
MEM_BYTES = FamilyRule("node_sockstat_{}_mem_bytes", "gauge", "Number of {} sockets in state mem_bytes.")


class Sockstat:
    name: Final = "sockstat"
    part: Final[Part] = "node"
    families: Final[Declared] = (SOCKETS_USED, *STATES.values(), MEM_BYTES)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._host = host

    def collect(self, out: Writer) -> None:
        with out.optional:
            self._write(out, "sockstat")
        with out.optional:
            self._write(out, "sockstat6")

    def _write(self, out: Writer, file: str) -> None:
        path = self._host.net(file)
        try:
            protocols = read_sockstat(self._host.procfs, path)
        except Gone:
            raise Absent(path, "this kernel lacks the address family") from None
        for protocol, states in protocols.items():
            if protocol == "sockets":
                if "used" in states:
                    out.one(SOCKETS_USED, states["used"])
                continue
            for state, value in states.items():
                if state in STATES:
                    out.one(STATES[state](protocol), value)
            if "mem" in states:
                out.one(MEM_BYTES(protocol), states["mem"] * self._host.calls.page_bytes)
