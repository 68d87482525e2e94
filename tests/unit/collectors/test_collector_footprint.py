"""What the agent uses itself."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from typing import Any

import pytest

from agent.collectors.footprint import Footprint
from agent.sources.host import Host

Make = Callable[..., Host]
Collect = Callable[[Any], Any]


def test_it_is_this_process_that_is_measured(make_host: Make, collect: Collect) -> None:
    """Wherever the node's procfs is: that one has no process at all."""
    samples = collect(Footprint(make_host({}), {}))
    before_s = time.process_time()
    assert 0 < samples["process_cpu_seconds_total"] <= before_s + 0.02
    assert samples["process_open_fds"] == pytest.approx(len(os.listdir("/proc/self/fd")), abs=2)
    assert samples["process_max_fds"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert 5e6 < samples["process_resident_memory_bytes"] < samples["process_virtual_memory_bytes"]
    assert time.time() - 86400 < samples["process_start_time_seconds"] < time.time()


def test_no_limit_is_the_largest_number(make_host: Make, collect: Collect) -> None:
    """As client_golang has it, so that ratios of use and limit can be written."""
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    expected = 2.0**64 if soft == resource.RLIM_INFINITY else soft
    assert collect(Footprint(make_host({}), {}))["process_virtual_memory_max_bytes"] == expected
