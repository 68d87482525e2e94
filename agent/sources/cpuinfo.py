"""``/proc/cpuinfo``: what kind of CPUs the node has.

Source: <procfs>/cpuinfo, proc_cpuinfo(5). Since: 1.x. Shape: ``key : value`` per line, a line ``processor`` first for
each CPU. x86 says most; arm64 little more than ``Features``. Units: MHz, else text. Errors: Malformed.
Cost: large and slow, 40 us per CPU; read it only when asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from agent.errors import Malformed
from agent.sources.root import Root


class CpuInfo(NamedTuple):
    """One CPU. Empty where the kernel does not say; ``flags`` and ``bugs`` are words separated by blanks."""

    processor: str
    physical_id: str
    core_id: str
    vendor_id: str
    cpu_family: str
    model: str
    model_name: str
    microcode: str
    stepping: str
    cache_size: str
    flags: str
    bugs: str
    mhz: float | None


def parse_cpuinfo(buf: bytes) -> list[CpuInfo]:
    """Every CPU that is online, in the kernel's order."""
    cpus: list[dict[str, str]] = []
    for line in buf.decode("utf-8", "replace").split("\n"):
        key, _, value = line.partition(":")
        key, value = key.strip(), value.strip()
        if key == "processor":
            cpus.append({})
        if cpus:
            cpus[-1][key] = value
    if not cpus:
        raise Malformed("cpuinfo", "no line 'processor'")
    return [_cpu(fields) for fields in cpus]


def _cpu(fields: Mapping[str, str]) -> CpuInfo:
    def text(*names: str) -> str:
        return next((fields[name] for name in names if name in fields), "")

    try:
        return CpuInfo(
            str(int(fields["processor"])),
            text("physical id"),
            text("core id"),
            text("vendor_id", "vendor"),
            text("cpu family"),
            text("model"),
            text("model name"),
            text("microcode"),
            text("stepping"),
            text("cache size"),
            text("flags", "Features"),
            text("bugs"),
            float(fields["cpu MHz"]) if "cpu MHz" in fields else None,
        )
    except ValueError as error:
        raise Malformed("cpuinfo", f"a number expected: {error}") from None


def read_cpuinfo(procfs: Root) -> list[CpuInfo]:
    return parse_cpuinfo(procfs.read("cpuinfo"))
