"""The difference between MemAvailable and the kubelet's memory.available, on literal numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.eviction.memory import PARTS, available, explain
from agent.sources.node_memory import NodeMemory

KIB = 1024
MEMINFO = {
    "MemTotal": 10_000,
    "MemFree": 4000,
    "MemAvailable": 6500,
    "Buffers": 100,
    "Cached": 3000,
    "SwapCached": 50,
    "Active(file)": 1500,
    "Inactive(file)": 1200,
    "AnonPages": 1000,
    "KReclaimable": 330,
    "SReclaimable": 300,
    "SUnreclaim": 200,
    "KernelStack": 40,
    "VmallocUsed": 70,
    "PageTables": 30,
    "SecPageTables": 1,
    "Percpu": 20,
    "Zswap": 5,
    "Bounce": 2,
    "Hugetlb": 512,
}


def meminfo(**changes: int | None) -> dict[str, tuple[int, bool]]:
    fields = MEMINFO | changes
    return {name: (value, not name.startswith("HugePages_")) for name, value in fields.items() if value is not None}


def node(usage_kib: int = 4100, inactive_kib: int = 1190) -> NodeMemory:
    return NodeMemory(10_000 * KIB, usage_kib * KIB, inactive_kib * KIB)


def test_each_part() -> None:
    """Every part from its fields, and ``other`` what is left."""
    explanation = explain(meminfo(), node(), 60 * KIB)
    assert explanation is not None
    assert explanation.available_bytes == (10_000 - (4100 - 1190)) * KIB
    assert explanation.mem_available_bytes == 6500 * KIB
    parts = {part: size // KIB for part, size in explanation.parts.items()}
    assert parts == {
        "active_file": -1500,
        "reserved": 4000 + 1500 + 1200 + 330 - 6500,
        "slab": 200,
        "kernel": 70 + 30 + 1 + 20 + 5 + 2,
        "hugepages": 512,
        "per_cpu_pages": 60,
        "inactive_file": -10,
        "usage": 1000 + 3000 + 100 + 50 - 4100,
        "other": 7090 - 6500 - (-1500 + 530 + 200 + 128 + 512 + 60 - 10 + 50),
    }
    assert set(parts) == set(PARTS)


def test_what_nobody_holds_in_secret_is_not_other() -> None:
    """Where meminfo accounts for every page and both read the same, nothing is left over."""
    held = 1000 + 3000 + 100 + 50 + 330 + 200 + 128 + 512
    explanation = explain(meminfo(MemFree=10_000 - held), node(4150, 1200))
    assert explanation is not None
    assert (explanation.parts["other"], explanation.parts["usage"], explanation.parts["inactive_file"]) == (0, 0, 0)


def test_older_kernels() -> None:
    """Without KReclaimable (4.20), Hugetlb (4.18) and VmallocUsed (0 before 5.3) their forerunners are taken."""
    fields = meminfo(KReclaimable=None, Hugetlb=None, VmallocUsed=0, HugePages_Total=3, Hugepagesize=2048)
    explanation = explain(fields, node())
    assert explanation is not None
    assert explanation.parts["reserved"] == (4000 + 1500 + 1200 + 300 - 6500) * KIB
    assert explanation.parts["hugepages"] == 3 * 2048 * KIB
    assert explanation.parts["kernel"] == (40 + 30 + 1 + 20 + 5 + 2) * KIB


def test_what_is_not_told_is_no_part() -> None:
    """It is in ``other``; never 0 in its own name."""
    explanation = explain({"MemAvailable": (6500, True)}, node())
    assert explanation is not None
    assert set(explanation.parts) == {"kernel", "other"}
    assert explanation.parts["other"] == (7090 - 6500) * KIB
    assert explain({"MemTotal": (1, True)}, node()) is None


def test_more_inactive_than_used() -> None:
    """The working set is never below 0, so no more is available than there is."""
    assert available(node(100, 200)) == 10_000 * KIB


@given(
    st.dictionaries(st.sampled_from(sorted(MEMINFO)), st.integers(0, 1 << 40)),
    st.integers(0, 1 << 50),
    st.integers(0, 1 << 50),
    st.none() | st.integers(0, 1 << 40),
)
def test_the_parts_always_add_up(fields: dict[str, int], usage: int, inactive: int, lists: int | None) -> None:
    """Whatever is told and whatever it says."""
    memory = NodeMemory(1 << 40, usage, inactive)
    explanation = explain({name: (value, True) for name, value in fields.items()}, memory, lists)
    if explanation is None:
        assert "MemAvailable" not in fields
        return
    assert explanation.mem_available_bytes + sum(explanation.parts.values()) == available(memory)
    assert explanation.available_bytes == available(memory)
