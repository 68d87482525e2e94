"""The softnet collector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.collectors.softnet import Softnet
from agent.errors import Gone, Malformed
from agent.model import Writer
from agent.sources.host import Host

NAMES = [
    "processed_total",
    "dropped_total",
    "times_squeezed_total",
    "cpu_collision_total",
    "received_rps_total",
    "flow_limit_count_total",
    "backlog_len",
]


def line(*values: int) -> str:
    return " ".join(f"{value:08x}" for value in values) + "\n"


def test_each_column_is_a_family_per_cpu(make_host: Callable[..., Host], collect: Callable[..., Any]) -> None:
    """By the CPU's own number; the backlog is a gauge."""
    stat = line(1, 2, 3, 0, 0, 0, 0, 0, 4, 5, 6, 7, 0, 0, 0) + line(11, 12, 13, 0, 0, 0, 0, 0, 14, 15, 16, 17, 2, 0, 0)
    samples = collect(Softnet(make_host({"proc/1/net/softnet_stat": stat}), {}))
    expected = {f'node_softnet_{name}{{cpu="0"}}': n for n, name in enumerate(NAMES, start=1)}
    expected |= {f'node_softnet_{name}{{cpu="2"}}': n for n, name in enumerate(NAMES, start=11)}
    assert samples == expected
    assert "# TYPE node_softnet_backlog_len gauge\n" in samples.text
    assert samples.text.count(" counter\n") == 6


def test_what_an_old_kernel_does_not_count_is_absent(
    make_host: Callable[..., Host], collect: Callable[..., Any]
) -> None:
    """Not 0; its CPUs are counted by line."""
    samples = collect(Softnet(make_host({"proc/net/softnet_stat": line(*range(10)) + line(*range(10))}), {}))
    assert len(samples) == 5 * 2
    assert samples['node_softnet_received_rps_total{cpu="1"}'] == 9


@pytest.mark.parametrize(("files", "error"), [({}, Gone), ({"proc/net/softnet_stat": "garbage\n"}, Malformed)])
def test_without_the_file_there_is_nothing(
    make_host: Callable[..., Host], collect: Callable[..., Any], files: dict[str, str], error: type[Exception]
) -> None:
    """Missing and garbage."""
    with pytest.raises(error):
        collect(Softnet(make_host(files), {}))


def test_keys_follow_the_online_cpus(make_host: Callable[..., Host]) -> None:
    """The same object while they are the same; one that goes offline ends its series."""
    both = line(*range(12), 0) + line(*range(12), 1)
    collector = Softnet(make_host({"proc/net/softnet_stat": both}), {})
    first, second, third = Writer(), Writer(), Writer()
    collector.collect(first)
    collector.collect(second)
    assert all(one.keys is other.keys for one, other in zip(first.blocks, second.blocks, strict=True))
    make_host({"proc/net/softnet_stat": line(*range(12), 1)})
    collector.collect(third)
    assert {block.keys for block in third.blocks} == {(("1",),)}
