"""The collector ``time``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agent.collectors.time import Time
from agent.errors import Gone, Malformed
from agent.sources.host import Host

DEVICE = "sys/devices/system/clocksource/clocksource0"
CLOCKSOURCE = {f"{DEVICE}/available_clocksource": "kvm-clock tsc \n", f"{DEVICE}/current_clocksource": "tsc\n"}


def test_the_nodes_clock_zone_and_clocksources(make_host: Callable[..., Host], collect: Any, calls: Any) -> None:
    """The zone's name is a label, west of Greenwich is negative, a clocksource is known by its device's place."""
    calls.now_s, calls.zone = 1795224909.7194629, ("EST", -18000)
    assert collect(Time(make_host(CLOCKSOURCE), {})) == {
        "node_time_seconds": 1795224909.7194629,
        'node_time_zone_offset_seconds{time_zone="EST"}': -18000,
        'node_time_clocksource_available_info{device="0",clocksource="kvm-clock"}': 1,
        'node_time_clocksource_available_info{device="0",clocksource="tsc"}': 1,
        'node_time_clocksource_current_info{device="0",clocksource="tsc"}': 1,
    }


def test_a_change_of_clocksource_is_seen(make_host: Callable[..., Host], collect: Any) -> None:
    """The kernel leaves one that it finds unstable."""
    collector = Time(make_host(CLOCKSOURCE), {})
    collect(collector)
    make_host({f"{DEVICE}/available_clocksource": "hpet \n", f"{DEVICE}/current_clocksource": "hpet\n"})
    assert [series for series in collect(collector) if "clocksource" in series] == [
        'node_time_clocksource_available_info{device="0",clocksource="hpet"}',
        'node_time_clocksource_current_info{device="0",clocksource="hpet"}',
    ]


def test_bad_clocksources_cost_only_themselves(make_host: Callable[..., Host], collect: Any) -> None:
    """Missing or garbage; when the directory appears later it is found."""
    collector = Time(make_host({}), {})
    samples = collect(collector)
    assert len(samples) == 2
    assert [type(error) for error in samples.errors] == [Gone]
    make_host({f"{DEVICE}/available_clocksource": "tsc \n", f"{DEVICE}/current_clocksource": "\n"})
    samples = collect(collector)
    assert len(samples) == 2
    assert [type(error) for error in samples.errors] == [Malformed]
