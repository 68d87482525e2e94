"""The collector ``schedstat``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.collectors.schedstat import Schedstat
from agent.errors import Gone
from agent.model import Writer
from agent.sources.host import Host

SCHEDSTAT = "version 15\ncpu0 1 0 2 3 4 5 2045936778163039 343796328169361 4767485306\ncpu1 1 0 2 3 4 5 0 0 0\n"


def test_nanoseconds_become_seconds(make_host: Callable[..., Host], collect: Any) -> None:
    """Three families, one series per CPU."""
    assert collect(Schedstat(make_host({"proc/schedstat": SCHEDSTAT}), {})) == {
        'node_schedstat_running_seconds_total{cpu="0"}': 2045936.778163039,
        'node_schedstat_running_seconds_total{cpu="1"}': 0,
        'node_schedstat_waiting_seconds_total{cpu="0"}': 343796.328169361,
        'node_schedstat_waiting_seconds_total{cpu="1"}': 0,
        'node_schedstat_timeslices_total{cpu="0"}': 4767485306,
        'node_schedstat_timeslices_total{cpu="1"}': 0,
    }


def test_keys_are_the_same_object_while_the_cpus_are_the_same(make_host: Callable[..., Host]) -> None:
    """Rendering depends on it to be cheap."""
    collector = Schedstat(make_host({"proc/schedstat": SCHEDSTAT}), {})
    first, second = Writer(), Writer()
    collector.collect(first)
    collector.collect(second)
    assert first.blocks[0].keys is second.blocks[2].keys


def test_a_kernel_without_it_is_gone(make_host: Callable[..., Host], collect: Any) -> None:
    """A whole failure."""
    with pytest.raises(Gone):
        collect(Schedstat(make_host({}), {}))
