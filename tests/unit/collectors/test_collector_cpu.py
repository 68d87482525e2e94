"""The collector ``cpu``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from agent.collectors.cpu import Cpu
from agent.errors import Gone, Malformed
from agent.sources.host import Host

OPTIONS = {"guest": True, "info": False, "info.flags-include": "", "info.bugs-include": ""}
CPU = "sys/devices/system/cpu"
COLUMNS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
Collect = Callable[[Cpu], Mapping[str, float]]


def _stat(*cpus: str) -> dict[str, str]:
    return {"proc/stat": "".join(f"{line}\n" for line in ("cpu  0 0 0 0 0 0 0 0 0 0", *cpus))}


def _seconds(cpu: str, mode: str) -> str:
    return f'node_cpu_seconds_total{{cpu="{cpu}",mode="{mode}"}}'


def test_ticks_become_seconds_by_mode(make_host: Callable[..., Host], collect: Collect) -> None:
    """Each column is its own mode; guest time has a family of its own."""
    samples = collect(Cpu(make_host(_stat("cpu3 100 205 300 400 500 0 700 800 900 1000")), OPTIONS))
    seconds = (1.0, 2.05, 3.0, 4.0, 5.0, 0.0, 7.0, 8.0)
    assert {series: value for series, value in samples.items() if "guest" not in series} == {
        _seconds("3", mode): value for mode, value in zip(COLUMNS, seconds, strict=True)
    }
    assert samples['node_cpu_guest_seconds_total{cpu="3",mode="user"}'] == 9.0
    assert samples['node_cpu_guest_seconds_total{cpu="3",mode="nice"}'] == 10.0


def test_the_tick_is_the_nodes(make_host: Callable[..., Host], collect: Collect, calls: Any) -> None:
    """A kernel with another USER_HZ gives the same seconds."""
    calls.clock_ticks_per_s = 1000
    assert collect(Cpu(make_host(_stat("cpu0 2500 0 0 0 0 0 0 0 0 0")), OPTIONS))[_seconds("0", "user")] == 2.5


def test_guest_time_can_be_left_out(make_host: Callable[..., Host], collect: Collect) -> None:
    """The other families stay."""
    samples = collect(Cpu(make_host(_stat("cpu0 1 2 3 4 5 6 7 8 9 10")), OPTIONS | {"guest": False}))
    assert len(samples) == 8
    assert not any("guest" in series for series in samples)


def test_a_counter_that_falls_a_little_stays(make_host: Callable[..., Host], collect: Collect) -> None:
    """Idle and iowait fell by less than three seconds; user went on meanwhile."""
    collector = Cpu(make_host(_stat("cpu0 100 0 0 1000 500 0 0 0 0 0")), OPTIONS)
    collect(collector)
    make_host(_stat("cpu0 130 0 0 701 490 0 0 0 0 0"))
    samples = collect(collector)
    assert [samples[_seconds("0", mode)] for mode in ("user", "idle", "iowait")] == [1.3, 10.0, 5.0]
    make_host(_stat("cpu0 140 0 0 1010 501 0 0 0 0 0"))
    samples = collect(collector)
    assert [samples[_seconds("0", mode)] for mode in ("user", "idle", "iowait")] == [1.4, 10.1, 5.01]


def test_a_cpu_whose_idle_time_falls_far_has_restarted(make_host: Callable[..., Host], collect: Collect) -> None:
    """Three seconds are far; all its counters start anew, the other CPU's do not."""
    collector = Cpu(make_host(_stat("cpu0 100 0 0 1000 0 0 0 0 0 0", "cpu1 100 0 0 1000 0 0 0 0 0 0")), OPTIONS)
    collect(collector)
    make_host(_stat("cpu0 50 0 0 700 0 0 0 0 0 0", "cpu1 50 0 0 701 0 0 0 0 0 0"))
    samples = collect(collector)
    assert [samples[_seconds("0", mode)] for mode in ("user", "idle")] == [0.5, 7.0]
    assert [samples[_seconds("1", mode)] for mode in ("user", "idle")] == [1.0, 10.0]


def test_a_cpu_that_goes_offline_ends_and_starts_anew(make_host: Callable[..., Host], collect: Collect) -> None:
    """What it counted before is not remembered."""
    first, second = "cpu0 1 0 0 100 0 0 0 0 0 0", "cpu1 200 0 0 100 0 0 0 0 0 0"
    collector = Cpu(make_host(_stat(first, second)), OPTIONS)
    assert collect(collector)[_seconds("1", "user")] == 2.0
    make_host(_stat(first))
    assert _seconds("1", "user") not in collect(collector)
    make_host(_stat(first, "cpu1 10 0 0 100 0 0 0 0 0 0"))
    assert collect(collector)[_seconds("1", "user")] == 0.1


def test_isolated_and_online_are_told_where_the_files_are(make_host: Callable[..., Host], collect: Collect) -> None:
    """CPU 2 is offline, 1 and 2 are isolated; a CPU without a switch of its own is online all the same."""
    files = {f"{CPU}/isolated": "1-2\n", f"{CPU}/online": "0-1\n"}
    files |= {f"{CPU}/cpu0/online": "1\n", f"{CPU}/cpu1/uevent": "", f"{CPU}/cpu2/online": "0\n"}
    samples = collect(Cpu(make_host(_stat("cpu0 1 2 3 4 5 6 7 8 9 10") | files), OPTIONS))
    assert {series: samples[series] for series in samples if "isolated" in series or "online" in series} == {
        'node_cpu_isolated{cpu="1"}': 1,
        'node_cpu_isolated{cpu="2"}': 1,
        'node_cpu_online{cpu="0"}': 1,
        'node_cpu_online{cpu="1"}': 1,
        'node_cpu_online{cpu="2"}': 0,
    }


def test_where_no_cpu_can_go_offline_nothing_is_said(make_host: Callable[..., Host], collect: Any) -> None:
    """No switch on CPU 0, and nothing isolated: neither family, and no error."""
    files = {f"{CPU}/isolated": "\n", f"{CPU}/online": "0-1\n", f"{CPU}/cpu0/uevent": "", f"{CPU}/cpu1/online": "1\n"}
    samples = collect(Cpu(make_host(_stat("cpu0 1 2 3 4 5 6 7 8 9 10") | files), OPTIONS))
    assert len(samples) == 10
    assert samples.errors == []


def test_throttles_are_counted_per_core_and_package(make_host: Callable[..., Host], collect: Collect) -> None:
    """They are read anew at each collection; zero is a count."""
    files = {f"{CPU}/cpu0/topology/physical_package_id": "1\n", f"{CPU}/cpu0/topology/core_id": "4\n"}
    throttle = f"{CPU}/cpu0/thermal_throttle"
    files |= {f"{throttle}/core_throttle_count": "5\n", f"{throttle}/package_throttle_count": "0\n"}
    collector = Cpu(make_host(_stat("cpu0 1 2 3 4 5 6 7 8 9 10") | files), OPTIONS)
    samples = collect(collector)
    assert samples['node_cpu_core_throttles_total{package="1",core="4"}'] == 5
    assert samples['node_cpu_package_throttles_total{package="1"}'] == 0
    make_host({f"{throttle}/core_throttle_count": "6\n"})
    assert collect(collector)['node_cpu_core_throttles_total{package="1",core="4"}'] == 6


def test_without_sysfs_the_times_are_still_told(make_host: Callable[..., Host], collect: Any) -> None:
    """What is missing is counted, and costs nothing else."""
    samples = collect(Cpu(make_host(_stat("cpu0 1 2 3 4 5 6 7 8 9 10")), OPTIONS))
    assert len(samples) == 10
    assert samples.errors
    assert {type(error) for error in samples.errors} == {Gone}


def test_an_unreadable_stat_is_a_whole_failure(make_host: Callable[..., Host], collect: Collect) -> None:
    """Missing or garbage."""
    with pytest.raises(Gone):
        collect(Cpu(make_host({}), OPTIONS))
    with pytest.raises(Malformed):
        collect(Cpu(make_host({"proc/stat": "cpu0 1 2\n"}), OPTIONS))
