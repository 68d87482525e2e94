"""``/sys/devices/system/cpu``."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Gone, Malformed
from agent.sources.cpu import (
    find_throttle_counters,
    has_switch,
    list_cpus,
    parse_cpu_list,
    read_isolated,
    read_online,
)
from agent.sources.host import Host

CPU = "sys/devices/system/cpu"


@pytest.mark.parametrize(
    ("buf", "cpus"),
    [(b"", ()), (b"\n", ()), (b"3", (3,)), (b"0-3", (0, 1, 2, 3)), (b"0-1,8,10-11\n", (0, 1, 8, 10, 11))],
)
def test_a_list_of_cpus_is_expanded(buf: bytes, cpus: tuple[int, ...]) -> None:
    """Empty, single, ranges, and all of them."""
    assert parse_cpu_list(buf, "isolated") == cpus


@pytest.mark.parametrize("buf", [b"a", b"1-", b"-1", b"3-1", b"1,,2", b"0-99999999", b"1--2", b"(null)", b"\xff"])
def test_a_list_that_is_not_one_is_malformed(buf: bytes) -> None:
    """A list that would fill the memory is refused too."""
    with pytest.raises(Malformed):
        parse_cpu_list(buf, "isolated")


@given(st.binary() | st.text("0123456789-, \n").map(str.encode))
def test_any_bytes_give_cpus_or_malformed(buf: bytes) -> None:
    """No other exception escapes."""
    try:
        assert all(cpu >= 0 for cpu in parse_cpu_list(buf, "online"))
    except Malformed:
        pass


@given(st.sets(st.integers(0, 300)))
def test_a_list_written_one_by_one_reads_back(cpus: set[int]) -> None:
    """Parsing undoes writing."""
    buf = ",".join(map(str, sorted(cpus))).encode()
    assert parse_cpu_list(buf, "online") == tuple(sorted(cpus))


def test_cpus_are_those_with_a_numbered_directory(make_host: Callable[..., Host]) -> None:
    """In the order of their numbers, without cpufreq and cpuidle."""
    names = ("cpu10", "cpu2", "cpu0", "cpufreq", "cpuidle", "cpu", "power")
    host = make_host({f"{CPU}/{name}/uevent": "" for name in names})
    assert list_cpus(host.sysfs) == (0, 2, 10)


def test_lists_and_switches_are_read_from_their_files(make_host: Callable[..., Host]) -> None:
    """A missing file is Gone, not an empty list."""
    host = make_host({f"{CPU}/isolated": "2-3\n", f"{CPU}/cpu0/uevent": "", f"{CPU}/cpu1/online": "1\n"})
    assert read_isolated(host.sysfs) == (2, 3)
    assert [has_switch(host.sysfs, cpu) for cpu in (0, 1)] == [False, True]
    with pytest.raises(Gone):
        read_online(host.sysfs)


def _cpu(number: int, package: str, core: str, *counters: str) -> dict[str, str]:
    files = {"topology/physical_package_id": package, "topology/core_id": core}
    files |= {f"thermal_throttle/{name}": "0\n" for name in counters}
    return {f"{CPU}/cpu{number}/{name}": content for name, content in files.items()}


def test_siblings_share_their_throttle_counters(make_host: Callable[..., Host]) -> None:
    """The first CPU of a core, and of a package, stands for the others."""
    both = ("core_throttle_count", "package_throttle_count")
    host = make_host(_cpu(0, "0\n", "0\n", *both) | _cpu(1, "0\n", "4\n", *both) | _cpu(2, "0\n", "0\n", *both))
    found = find_throttle_counters(host.sysfs)
    directory = "devices/system/cpu/{}/thermal_throttle/{}_throttle_count"
    assert found.cores == {("0", "0"): directory.format("cpu0", "core"), ("0", "4"): directory.format("cpu1", "core")}
    assert found.packages == {"0": directory.format("cpu0", "package")}


def test_a_counter_that_one_sibling_lacks_is_taken_from_the_next(make_host: Callable[..., Host]) -> None:
    """Some kernels have only the one of the core."""
    host = make_host(_cpu(0, "1\n", "0\n", "core_throttle_count") | _cpu(1, "1\n", "0\n", "package_throttle_count"))
    found = find_throttle_counters(host.sysfs)
    assert list(found.cores) == [("1", "0")]
    assert found.packages == {"1": "devices/system/cpu/cpu1/thermal_throttle/package_throttle_count"}


def test_a_cpu_that_does_not_tell_its_place_is_passed_over(make_host: Callable[..., Host]) -> None:
    """A package of -1, garbage, or no topology at all names nothing."""
    files = _cpu(0, "-1\n", "0\n", "core_throttle_count") | _cpu(1, "0\n", "?\n", "core_throttle_count")
    host = make_host(files | {f"{CPU}/cpu2/thermal_throttle/core_throttle_count": "3\n"})
    assert find_throttle_counters(host.sysfs) == ({}, {})
