"""What the agent uses itself."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from agent import __version__
from agent.collectors.footprint import Footprint
from agent.errors import Unsupported
from agent.sources.calls import Uname
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


@pytest.mark.parametrize(("machine", "arch"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("riscv64", "riscv64")])
def test_dashboards_find_the_build(make_host: Make, calls: Any, collect: Collect, machine: str, arch: str) -> None:
    """Under node_exporter's name, with our version and language."""
    calls.name = Uname("Linux", "n", "6.1", "#1", machine, "(none)")
    language = "python" + ".".join(map(str, sys.version_info[:3]))
    labels = (
        f'branch="",goarch="{arch}",goos="linux",goversion="{language}",revision="",tags="",version="{__version__}"'
    )
    assert collect(Footprint(make_host({}), {}))[f"node_exporter_build_info{{{labels}}}"] == 1


def test_a_machine_that_does_not_say_what_it_is_costs_only_the_build(
    make_host: Make, calls: Any, collect: Collect
) -> None:
    """The rest of the footprint is there."""
    calls.name = Unsupported("uname", "was not recorded")
    samples = collect(Footprint(make_host({}), {}))
    assert "process_open_fds" in samples
    assert "node_exporter_build_info" not in samples.text
    assert len(samples.errors) == 1
