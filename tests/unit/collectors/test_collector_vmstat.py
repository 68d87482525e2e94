"""The collector ``vmstat``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.collectors import CATALOG
from agent.collectors.vmstat import Vmstat
from agent.errors import Gone, Malformed
from agent.sources.host import Host

VMSTAT = "nr_free_pages 1500\npgpgin 738005\npgfault 780075\npgmajfault 637\noom_kill 0\npgalloc_dma 9\n"
DEFAULT = next(entry.settings[0].default for entry in CATALOG if entry.name == "vmstat")


def test_the_default_is_faults_paging_swapping_and_oom_kills(make_host: Callable[..., Host], collect: Any) -> None:
    """Untyped, with the kernel's field in name and HELP."""
    samples = collect(Vmstat(make_host({"proc/vmstat": VMSTAT}), {"fields": DEFAULT}))
    assert samples == {
        "node_vmstat_pgpgin": 738005,
        "node_vmstat_pgfault": 780075,
        "node_vmstat_pgmajfault": 637,
        "node_vmstat_oom_kill": 0,
    }
    assert "# HELP node_vmstat_oom_kill /proc/vmstat information field oom_kill.\n" in samples.text
    assert "# TYPE node_vmstat_oom_kill untyped\n" in samples.text


def test_fields_match_anywhere_unless_anchored(make_host: Callable[..., Host], collect: Any) -> None:
    """As node_exporter's regexps do."""
    samples = collect(Vmstat(make_host({"proc/vmstat": VMSTAT}), {"fields": "free|dma$"}))
    assert samples == {"node_vmstat_nr_free_pages": 1500, "node_vmstat_pgalloc_dma": 9}


def test_values_and_fields_may_change(make_host: Callable[..., Host], collect: Any) -> None:
    """What is remembered is only which names match."""
    collector = Vmstat(make_host({"proc/vmstat": "a_in 1\nb_out 2\n"}), {"fields": "in|new"})
    assert collect(collector) == {"node_vmstat_a_in": 1}
    make_host({"proc/vmstat": "b_out 7\na_in 5\nc_new 6\n"})
    assert collect(collector) == {"node_vmstat_a_in": 5, "node_vmstat_c_new": 6}


def test_garbage_or_nothing_is_a_whole_failure(make_host: Callable[..., Host], collect: Any) -> None:
    """Even when only the fields that match are read."""
    with pytest.raises(Gone):
        collect(Vmstat(make_host({}), {"fields": DEFAULT}))
    with pytest.raises(Malformed):
        collect(Vmstat(make_host({"proc/vmstat": "pgfault many\n"}), {"fields": DEFAULT}))
