"""The collector ``stat``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.collectors.stat import Stat
from agent.errors import Gone
from agent.sources.host import Host

STAT = """\
intr 188910 0 12
ctxt 358752
btime 1795224820
processes 6341
procs_running 3
procs_blocked 0
softirq 149803 0 1 2 3 4 5 6 7 8 9
"""


def test_totals_are_told(make_host: Callable[..., Host], collect: Any) -> None:
    """Each line of the file is its own family; 0 is told too."""
    assert collect(Stat(make_host({"proc/stat": STAT}), {"softirq": False})) == {
        "node_intr_total": 188910,
        "node_context_switches_total": 358752,
        "node_forks_total": 6341,
        "node_boot_time_seconds": 1795224820,
        "node_procs_running": 3,
        "node_procs_blocked": 0,
    }


def test_softirqs_are_told_by_vector_when_asked_for(make_host: Callable[..., Host], collect: Any) -> None:
    """In the kernel's order."""
    samples = collect(Stat(make_host({"proc/stat": STAT}), {"softirq": True}))
    vectors = ["hi", "timer", "net_tx", "net_rx", "block", "block_iopoll", "tasklet", "sched", "hrtimer", "rcu"]
    assert {name: samples[name] for name in samples if "softirqs" in name} == {
        f'node_softirqs_total{{vector="{vector}"}}': count for count, vector in enumerate(vectors)
    }


def test_a_kernel_without_softirqs_tells_the_rest(make_host: Callable[..., Host], collect: Any) -> None:
    """Absent is not 0."""
    lines = STAT.partition("softirq")[0]
    assert len(collect(Stat(make_host({"proc/stat": lines}), {"softirq": True}))) == 6


def test_a_missing_file_is_gone(make_host: Callable[..., Host], collect: Any) -> None:
    """A whole failure."""
    with pytest.raises(Gone):
        collect(Stat(make_host({}), {"softirq": False}))
