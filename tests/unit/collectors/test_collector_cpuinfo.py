"""The collector ``cpu``: what kind of CPUs there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.collectors.cpu import Cpu
from agent.errors import Malformed
from agent.sources.host import Host

OPTIONS = {"guest": True, "info": False, "info.flags-include": "", "info.bugs-include": ""}
CPUINFO = """\
processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC
stepping\t: 1
microcode\t: 0x1000065
cpu MHz\t\t: 2596.130
cache size\t: 1024 KB
physical id\t: 0
core id\t\t: 7
flags\t\t: fpu sse sse2 ssse3 sse
bugs\t\t: spectre_v1 srso

processor\t: 1
flags\t\t: other
"""
MACHINE = {
    "proc/stat": "cpu0 1 2 3 4 5 6 7 8 9 10\n",
    "proc/cpuinfo": CPUINFO,
    "sys/devices/system/cpu/isolated": "\n",
}


def _about(samples: dict[str, float]) -> dict[str, float]:
    return {series: value for series, value in samples.items() if "seconds" not in series}


def test_by_default_nothing_is_said(make_host: Callable[..., Host], collect: Any) -> None:
    """The file is not even read."""
    samples = collect(Cpu(make_host(MACHINE | {"proc/cpuinfo": "garbage"}), OPTIONS))
    assert _about(samples) == {}
    assert samples.errors == []


def test_info_tells_identity_and_frequency(make_host: Callable[..., Host], collect: Any) -> None:
    """A CPU that does not tell its frequency has none: it is not 0."""
    samples = collect(Cpu(make_host(MACHINE), OPTIONS | {"info": True}))
    assert _about(samples) == {
        'node_cpu_info{package="0",core="7",cpu="0",vendor="AuthenticAMD",family="25",model="17",'
        'model_name="AMD EPYC",microcode="0x1000065",stepping="1",cachesize="1024 KB"}': 1,
        'node_cpu_info{package="",core="",cpu="1",vendor="",family="",model="",'
        'model_name="",microcode="",stepping="",cachesize=""}': 1,
        'node_cpu_frequency_hertz{package="0",core="7",cpu="0"}': 2596130000.0,
    }


@pytest.mark.parametrize(
    ("option", "pattern", "series"),
    [
        ("info.flags-include", "sse", ["flag_info{flag=sse}", "flag_info{flag=sse2}", "flag_info{flag=ssse3}"]),
        ("info.flags-include", "^sse2?$", ["flag_info{flag=sse}", "flag_info{flag=sse2}"]),
        ("info.bugs-include", "spectre", ["bug_info{bug=spectre_v1}"]),
        ("info.bugs-include", "meltdown", []),
    ],
)
def test_a_pattern_chooses_and_implies_info(
    make_host: Callable[..., Host], collect: Any, option: str, pattern: str, series: list[str]
) -> None:
    """Unanchored; only the first CPU's words count, and each once."""
    samples = _about(collect(Cpu(make_host(MACHINE), OPTIONS | {option: pattern})))
    chosen = [name.removeprefix("node_cpu_").replace('"', "") for name in samples if "flag_" in name or "bug_" in name]
    assert chosen == series
    assert len(samples) == len(series) + 3


def test_garbage_costs_only_the_information(make_host: Callable[..., Host], collect: Any) -> None:
    """The times are still told, and the error is counted."""
    samples = collect(Cpu(make_host(MACHINE | {"proc/cpuinfo": "garbage"}), OPTIONS | {"info": True}))
    assert _about(samples) == {}
    assert len(samples) == 10
    assert [type(error) for error in samples.errors] == [Malformed]
