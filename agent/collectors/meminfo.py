"""The node's memory, every field that the kernel gives.

``MemAvailable`` is the kernel's estimate, not the kubelet's eviction signal: that one is ``headroom_eviction_*``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.model import Declared, Family, FamilyRule, Part, Writer
from agent.sources.host import Host
from agent.sources.meminfo import read_meminfo

MEMORY = FamilyRule("node_memory_{}", "gauge", "Memory information field {}.")


class Meminfo:
    name: Final = "meminfo"
    part: Final[Part] = "node"
    families: Final[Declared] = (MEMORY,)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._procfs = host.procfs
        self._known: dict[str, Family] = {}

    def collect(self, out: Writer) -> None:
        for field, (value, in_kib) in read_meminfo(self._procfs).items():
            family = self._known.get(field) or self._family(field, in_kib)
            out.one(family, value * 1024 if in_kib else value)

    def _family(self, field: str, in_kib: bool) -> Family:
        """``Active(anon)`` becomes ``Active_anon_bytes``."""
        name = field.replace("(", "_").replace(")", "")
        self._known[field] = family = MEMORY(f"{name}_bytes" if in_kib else name)
        return family
