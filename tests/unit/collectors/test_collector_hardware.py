"""The places of hardware that is recognised and not read yet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.collectors import CATALOG
from agent.collectors.hardware import LOOK_EVERY_S, PLACES, Hardware
from agent.errors import Absent, SourceError, Unsupported
from agent.model import Writer
from agent.sources.host import Host

Make = Callable[..., Host]

ENTRIES = {entry.name: entry for entry in CATALOG if entry.place}
HERE = {
    "bcache": "sys/fs/bcache/deaddd54-c735/stats_total",
    "bcachefs": "sys/fs/bcachefs/deadbeef/label",
    "btrfs": "sys/fs/btrfs/0abb23a9-579b/label",
    "cpufreq": "sys/devices/system/cpu/cpu3/cpufreq/scaling_cur_freq",
    "dmi": "sys/class/dmi/id/bios_vendor",
    "edac": "sys/devices/system/edac/mc/mc0/ce_count",
    "fibrechannel": "sys/class/fc_host/host0/speed",
    "hwmon": "sys/class/hwmon/hwmon0/name",
    "infiniband": "sys/class/infiniband/mlx4_0/board_id",
    "ipvs": "proc/net/ip_vs_stats",
    "nfs": "proc/net/rpc/nfs",
    "nfsd": "proc/net/rpc/nfsd",
    "nvme": "sys/class/nvme/nvme0/model",
    "powersupplyclass": "sys/class/power_supply/BAT0/capacity",
    "rapl": "sys/class/powercap/intel-rapl:0/name",
    "tapestats": "sys/class/scsi_tape/st0/stats/in_flight",
    "thermal_zone": "sys/class/thermal/cooling_device0/type",
    "watchdog": "sys/class/watchdog/watchdog0/timeout",
    "xfs": "sys/fs/xfs/sda1/stats/stats",
    "zfs": "proc/spl/kstat/zfs/arcstats",
}
# What a kernel has there without any such hardware.
NOT_HERE = {
    "bcache": "sys/fs/bcache/register",
    "btrfs": "sys/fs/btrfs/features/extended_iref",
    "cpufreq": "sys/devices/system/cpu/cpufreq/boost",
    "edac": "sys/devices/system/edac/mc/power/control",
    "rapl": "sys/class/powercap/dtpm/enabled",
    "tapestats": "sys/class/scsi_tape/nst0a/dev",
    "thermal_zone": "sys/class/thermal/power/control",
    "xfs": "sys/fs/xfs/stats/stats",
}
# Measured with node_exporter 1.11.1 on a tree without anything.
SUCCEED_WITHOUT_ANYTHING = {"bcache", "btrfs", "edac", "thermal_zone", "xfs"}
FAIL_WITH_AN_EMPTY_DIRECTORY = {"bcachefs", "dmi", "ipvs", "nfs", "nfsd", "zfs"}


def collector_of(host: Host, name: str) -> Hardware:
    made: Any = ENTRIES[name].load()
    collector = made(host, {})
    assert isinstance(collector, Hardware)
    return collector


def outcome(collector: Hardware) -> type[SourceError] | None:
    """None is success; it never has anything to say."""
    out = Writer()
    error = None
    try:
        collector.collect(out)
    except SourceError as caught:
        error = type(caught)
    assert (out.blocks, out.errors) == ([], [])
    return error


def test_every_place_of_the_catalog_is_one_of_the_table() -> None:
    """Under the name that the catalog gives it, without families."""
    assert {entry.target.removeprefix("hardware:") for entry in ENTRIES.values()} == set(PLACES)
    for name, entry in ENTRIES.items():
        collector: Any = entry.load()
        assert (collector.name, collector.families, collector.part) == (name, (), "node")


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_what_is_here_is_said_to_be_unread(make_host: Make, name: str) -> None:
    """It is never mistaken for absent."""
    host = make_host({HERE[name]: "1\n"})
    with pytest.raises(Unsupported, match="seen, but not read by this version"):
        collector_of(host, name).collect(Writer())


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_without_anything_it_says_what_node_exporter_says(make_host: Make, name: str) -> None:
    """Success where a glob found nothing, no data where a directory is missing."""
    assert outcome(collector_of(make_host({}), name)) is (None if name in SUCCEED_WITHOUT_ANYTHING else Absent)


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_an_empty_directory_is_no_hardware(make_host: Make, name: str) -> None:
    """The kernel makes it for the class, not for a thing."""
    host = make_host({})
    place = next(place for place in PLACES.values() if place.collector == name)
    if place.tree == "sysfs":
        Path(host.sysfs.path, place.directory).mkdir(parents=True)
    assert outcome(collector_of(host, name)) is (Absent if name in FAIL_WITH_AN_EMPTY_DIRECTORY else None)


@pytest.mark.parametrize("name", sorted(NOT_HERE))
def test_what_the_kernel_has_anyway_is_no_hardware(make_host: Make, name: str) -> None:
    """``/sys/fs/btrfs/features`` is not a filesystem."""
    assert outcome(collector_of(make_host({NOT_HERE[name]: "1\n"}), name)) is None


def test_hardware_that_comes_is_seen_within_a_minute(make_host: Make, calls: Any) -> None:
    """And the trees are not looked at more often than that."""
    collector = collector_of(make_host({}), "nvme")
    assert outcome(collector) is Absent
    make_host({HERE["nvme"]: "1\n"})
    calls.now_monotonic_s += LOOK_EVERY_S - 1
    assert outcome(collector) is Absent
    calls.now_monotonic_s += 1
    assert outcome(collector) is Unsupported
