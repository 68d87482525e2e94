"""The node's memory as the kernel accounts for it, in the fields that node_exporter has too.

Newer kernels have more; one that nobody's dashboards know is left out until node_exporter names it. ``MemAvailable`` is
the kernel's estimate, not the kubelet's eviction signal: that one is ``headroom_eviction_*``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.model import Declared, Family, FamilyRule, Part, Writer
from agent.sources.host import Host
from agent.sources.meminfo import read_meminfo

_FIELDS: Final = """
    Active Active(anon) Active(file) AnonHugePages AnonPages Bounce Buffers Cached CmaFree CmaTotal CommitLimit
    Committed_AS DirectMap1G DirectMap2M DirectMap4k Dirty HardwareCorrupted HugePages_Free HugePages_Rsvd
    HugePages_Surp HugePages_Total Hugepagesize Inactive Inactive(anon) Inactive(file) KernelStack Mapped MemAvailable
    MemFree MemTotal Mlocked NFS_Unstable PageTables Percpu SReclaimable SUnreclaim Shmem ShmemHugePages ShmemPmdMapped
    Slab SwapCached SwapFree SwapTotal Unevictable VmallocChunk VmallocTotal VmallocUsed Writeback WritebackTmp Zswap
    Zswapped
"""
FIELDS: Final = frozenset(_FIELDS.split())
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
            if field in FIELDS:
                family = self._known.get(field) or self._family(field, in_kib)
                out.one(family, value * 1024 if in_kib else value)

    def _family(self, field: str, in_kib: bool) -> Family:
        """``Active(anon)`` becomes ``Active_anon_bytes``."""
        name = field.replace("(", "_").replace(")", "")
        self._known[field] = family = MEMORY(f"{name}_bytes" if in_kib else name)
        return family
