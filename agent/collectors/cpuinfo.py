"""What kind of CPUs the node has: the opt-in half of the collector ``cpu``."""

from __future__ import annotations

import re
from typing import Final

from agent.model import Declared, Family, Writer
from agent.sources.cpuinfo import CpuInfo, read_cpuinfo
from agent.sources.root import Root

INFO = Family(
    "node_cpu_info",
    "gauge",
    "CPU information from /proc/cpuinfo.",
    ("package", "core", "cpu", "vendor", "family", "model", "model_name", "microcode", "stepping", "cachesize"),
)
FREQUENCY = Family(
    "node_cpu_frequency_hertz", "gauge", "CPU frequency in hertz from /proc/cpuinfo.", ("package", "core", "cpu")
)
FLAG = Family(
    "node_cpu_flag_info",
    "gauge",
    "The `flags` field of CPU information from /proc/cpuinfo taken from the first core.",
    ("flag",),
)
BUG = Family(
    "node_cpu_bug_info",
    "gauge",
    "The `bugs` field of CPU information from /proc/cpuinfo taken from the first core.",
    ("bug",),
)
FAMILIES: Final[Declared] = (INFO, FREQUENCY, FLAG, BUG)


class Identity:
    """``flags`` and ``bugs`` are regexps of those to expose; empty exposes none."""

    def __init__(self, procfs: Root, flags: str, bugs: str) -> None:
        self._procfs = procfs
        self._flags = flags
        self._bugs = bugs

    def write(self, out: Writer) -> None:
        cpus = read_cpuinfo(self._procfs)
        out.info(INFO, *map(_labels, cpus))
        clocked = [(cpu, cpu.mhz) for cpu in cpus if cpu.mhz is not None]
        keys = tuple((cpu.physical_id, cpu.core_id, cpu.processor) for cpu, _ in clocked)
        out.many(FREQUENCY, keys, [mhz * 1e6 for _, mhz in clocked])
        _write_matching(out, FLAG, cpus[0].flags, self._flags)
        _write_matching(out, BUG, cpus[0].bugs, self._bugs)


def _labels(cpu: CpuInfo) -> tuple[str, ...]:
    return (
        cpu.physical_id,
        cpu.core_id,
        cpu.processor,
        cpu.vendor_id,
        cpu.cpu_family,
        cpu.model,
        cpu.model_name,
        cpu.microcode,
        cpu.stepping,
        cpu.cache_size,
    )


def _write_matching(out: Writer, family: Family, words: str, pattern: str) -> None:
    if pattern and (found := [(word,) for word in dict.fromkeys(words.split()) if re.search(pattern, word)]):
        out.info(family, *found)
