"""``/proc/cpuinfo``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Malformed
from agent.sources.cpuinfo import CpuInfo, parse_cpuinfo

X86 = b"""\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 106
model name\t: Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz
stepping\t: 6
microcode\t: 0xd0003f5
cpu MHz\t\t: 2793.437
cache size\t: 49152 KB
physical id\t: 0
core id\t\t: 1
flags\t\t: fpu vme sse
bugs\t\t: spectre_v1 mds
power management:

processor\t: 3
vendor_id\t: GenuineIntel
bugs\t\t:
"""
ARM64 = b"""\
processor\t: 0
BogoMIPS\t: 50.00
Features\t: fp asimd evtstrm
CPU implementer\t: 0x41

processor\t: 1
"""
LIKE_CPUINFO = st.lists(
    st.sampled_from([b"processor", b"cpu MHz", b"flags", b"\t", b":", b" ", b"\n", b"7", b"1.5", b"\xff"])
)


def test_x86_says_everything() -> None:
    """Every field of the first CPU; of the second what is there, and the rest empty."""
    first, second = parse_cpuinfo(X86)
    name = "Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz"
    identity = ("GenuineIntel", "6", "106", name, "0xd0003f5", "6", "49152 KB")
    assert first == CpuInfo("0", "0", "1", *identity, "fpu vme sse", "spectre_v1 mds", 2793.437)
    assert second == CpuInfo("3", "", "", "GenuineIntel", *("",) * 6, "", "", None)


def test_arm64_calls_its_flags_features() -> None:
    """It names no vendor and no frequency."""
    first, second = parse_cpuinfo(ARM64)
    assert (first.processor, first.flags, first.vendor_id, first.mhz) == ("0", "fp asimd evtstrm", "", None)
    assert (second.processor, second.flags) == ("1", "")


@pytest.mark.parametrize(
    "buf", [b"", b"vendor_id : IBM/S390\n", b"processor\n", b"processor : x\n", b"processor : 0\ncpu MHz : fast\n"]
)
def test_what_is_not_a_list_of_processors_is_malformed(buf: bytes) -> None:
    """No processor, none with a number, or a frequency that is not one."""
    with pytest.raises(Malformed):
        parse_cpuinfo(buf)


@given(st.binary() | LIKE_CPUINFO.map(b"".join))
def test_any_bytes_give_cpus_or_malformed(buf: bytes) -> None:
    """No other exception escapes."""
    try:
        assert parse_cpuinfo(buf)
    except Malformed:
        pass
