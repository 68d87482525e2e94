"""The memory manager's counters: page faults, pages in and out, swapping, OOM kills; by default only these."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from agent.model import Declared, FamilyRule, Part, Writer
from agent.sources.host import Host
from agent.sources.vmstat import read_vmstat

FIELD = FamilyRule("node_vmstat_{}", "untyped", "/proc/vmstat information field {}.")


class Vmstat:
    name: Final = "vmstat"
    part: Final[Part] = "node"
    families: Final[Declared] = (FIELD,)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._procfs = host.procfs
        self._matches = re.compile(options["fields"]).search
        self._wanted: set[str] = set()
        self._ignored: set[bytes] = set()

    def collect(self, out: Writer) -> None:
        for field, value in read_vmstat(self._procfs, self._ignored).items():
            if field in self._wanted or self._is_wanted(field):
                out.one(FIELD(field), value)

    def _is_wanted(self, field: str) -> bool:
        """Once per field; one that is not wanted is not even parsed from then on."""
        if self._matches(field):
            self._wanted.add(field)
            return True
        self._ignored.add(field.encode())
        return False
