"""Why the kubelet's memory.available is not the kernel's MemAvailable: the difference in parts that add up to it. Pure.

The kubelet takes all that the cgroups were charged for as used, but inactive file:

    memory.available = MemTotal - (usage - inactive_file)

The kernel adds up what it could give away, and keeps some back (si_mem_available):

    MemAvailable = MemFree + Active(file) + Inactive(file) + KReclaimable - reserved

What is not free is held by somebody, and meminfo knows nearly all of them:

    MemTotal = MemFree + AnonPages + file + KReclaimable + SUnreclaim + hugepages + kernel + per-CPU pages + the rest

with file = Cached + Buffers + SwapCached (KReclaimable is SReclaimable and a little more). Both lines put into the
first give the parts, so

    MemAvailable + sum(parts) = memory.available

* ``active_file``, below 0: file pages in use lately. The kernel could drop them, the kubelet takes them as used.
* ``reserved``: what the kernel keeps for itself (lowmem reserves, watermarks). The kubelet would give it away.
* ``slab``: the kernel's objects that it cannot drop. No cgroup's usage, so available to the kubelet. Those that it can
  drop are available to both.
* ``kernel``: page tables, stacks, vmalloc, per-CPU data, zswap, bounce buffers: as ``slab``.
* ``hugepages``: set aside, used or not. Not charged as memory: as ``slab``.
* ``per_cpu_pages``: free pages in the CPUs' own lists, which MemFree leaves out. Part of ``other`` if not told.
* ``inactive_file``, ``usage``: how much more of the one and less of the other the cgroups count than meminfo does. Both
  near 0: the two are not read in the same moment, and v2 does not count what was charged to no cgroup.
* ``other``: the rest: pages that drivers, network buffers and balloons took without telling anybody.

v1 and v2 differ only in where usage is found: the root's memory.usage_in_bytes is file + anon as well, without any
kernel memory, and so is what is charged to v2's root. (Other cgroups are charged for kernel memory, on both.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from agent.sources.node_memory import KIB, NodeMemory

PARTS: Final = (
    "active_file",
    "reserved",
    "slab",
    "kernel",
    "hugepages",
    "per_cpu_pages",
    "inactive_file",
    "usage",
    "other",
)
"""Every part there may be; one that this kernel does not tell is not there, and in ``other``."""
Meminfo = Mapping[str, tuple[int, bool]]


class Explanation(NamedTuple):
    """``mem_available_bytes`` and all ``parts`` together are exactly ``available_bytes``."""

    available_bytes: int
    mem_available_bytes: int
    parts: dict[str, int]


def available(node: NodeMemory) -> int:
    """memory.available as the kubelet computes it."""
    return node.total_bytes - node.working_set_bytes


def explain(meminfo: Meminfo, node: NodeMemory, per_cpu_pages_bytes: int | None = None) -> Explanation | None:
    """None where the kernel has no MemAvailable (before 3.14)."""
    said = {name: value * KIB for name, (value, in_kib) in meminfo.items() if in_kib}
    if "MemAvailable" not in said:
        return None
    parts = {part: size for part, size in _parts(said, meminfo, node).items() if size is not None}
    if per_cpu_pages_bytes is not None:
        parts["per_cpu_pages"] = per_cpu_pages_bytes
    ours, theirs = available(node), said["MemAvailable"]
    parts["other"] = ours - theirs - sum(parts.values())
    return Explanation(ours, theirs, parts)


def _parts(said: Mapping[str, int], meminfo: Meminfo, node: NodeMemory) -> dict[str, int | None]:
    free, active, inactive = said.get("MemFree"), said.get("Active(file)"), said.get("Inactive(file)")
    reclaimable = said.get("KReclaimable", said.get("SReclaimable"))
    reserved = None
    if free is not None and active is not None and inactive is not None and reclaimable is not None:
        reserved = free + active + inactive + reclaimable - said["MemAvailable"]
    return {
        "active_file": None if active is None else -active,
        "reserved": reserved,
        "slab": said.get("SUnreclaim"),
        "kernel": _kernel(said),
        "hugepages": _hugepages(said, meminfo),
        "inactive_file": None if inactive is None else node.inactive_file_bytes - inactive,
        "usage": _usage(said, node),
    }


def _kernel(said: Mapping[str, int]) -> int:
    """Stacks are part of VmallocUsed where they are mapped, which is nearly everywhere; before 5.3 it says 0."""
    stacks = max(said.get("KernelStack", 0), said.get("VmallocUsed", 0))
    fields = ("PageTables", "SecPageTables", "Percpu", "Zswap", "Bounce")
    return stacks + sum(said.get(field, 0) for field in fields)


def _hugepages(said: Mapping[str, int], meminfo: Meminfo) -> int | None:
    """Hugetlb is of all sizes, since 4.18; before, only the default size is told."""
    if "Hugetlb" in said or "HugePages_Total" not in meminfo:
        return said.get("Hugetlb")
    return meminfo["HugePages_Total"][0] * said.get("Hugepagesize", 0)


def _usage(said: Mapping[str, int], node: NodeMemory) -> int | None:
    anon, cached = said.get("AnonPages"), said.get("Cached")
    if anon is None or cached is None:
        return None
    return anon + cached + said.get("Buffers", 0) + said.get("SwapCached", 0) - node.usage_bytes
