"""``/sys/devices/system/clocksource``."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Gone, Malformed
from agent.sources.clocksource import Clocksource, list_devices, parse_names, read_clocksource
from agent.sources.host import Host

CLOCKSOURCE = "sys/devices/system/clocksource"


def test_names_are_separated_by_blanks() -> None:
    """The kernel leaves one at the end."""
    assert parse_names(b"kvm-clock tsc acpi_pm ", "available") == ("kvm-clock", "tsc", "acpi_pm")
    assert parse_names(b"\n", "available") == ()


@given(st.binary())
def test_any_bytes_give_names_or_malformed(buf: bytes) -> None:
    """No other exception escapes."""
    try:
        assert all(parse_names(buf, "available"))
    except Malformed:
        pass


def test_a_device_has_names_and_one_of_them_is_current(make_host: Callable[..., Host]) -> None:
    """Only numbered directories are devices."""
    device = f"{CLOCKSOURCE}/clocksource0"
    files = {f"{device}/available_clocksource": "tsc hpet \n", f"{device}/current_clocksource": "tsc\n"}
    host = make_host(files | {f"{CLOCKSOURCE}/uevent": "", f"{CLOCKSOURCE}/clocksources/x": ""})
    assert list_devices(host.sysfs) == ["clocksource0"]
    assert read_clocksource(host.sysfs, "clocksource0") == Clocksource(("tsc", "hpet"), "tsc")


@pytest.mark.parametrize("current", ["", "tsc hpet", "\u00e9"])
def test_a_device_without_exactly_one_current_name_is_malformed(make_host: Callable[..., Host], current: str) -> None:
    """None, two, or garbage."""
    device = f"{CLOCKSOURCE}/clocksource0"
    host = make_host({f"{device}/available_clocksource": "tsc\n", f"{device}/current_clocksource": current})
    with pytest.raises(Malformed, match="current_clocksource"):
        read_clocksource(host.sysfs, "clocksource0")


def test_without_the_directory_it_is_gone(make_host: Callable[..., Host]) -> None:
    """An empty list would say that there are none."""
    with pytest.raises(Gone):
        list_devices(make_host({}).sysfs)
