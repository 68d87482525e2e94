"""The diskstats collector."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.collectors import settings
from agent.collectors.diskstats import Diskstats
from agent.config.load import Config
from agent.errors import ConfigError, Gone, Malformed
from agent.model import Writer
from agent.sources.host import Host
from agent.sources.root import Root

OPTIONS: dict[str, Any] = Config(list(settings())).section("collector.diskstats")
DISKSTATS = """\
   7       0 loop0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17
   8       0 sda 1 2 3 4000 5 6 7 8000 9 10000 11000 12 13 14 15000 16 17000
   8       1 sda1 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17
 253       0 dm-0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17
"""
ATA = """\
S:disk/by-id/x
E:ID_ATA=1
E:ID_ATA_WRITE_CACHE=1
E:ID_ATA_WRITE_CACHE_ENABLED=0
E:ID_ATA_ROTATION_RATE_RPM=7200
E:ID_PATH=pci-1
E:ID_WWN=0x7
E:ID_MODEL=MODEL "X"
E:ID_SERIAL=long
E:ID_SERIAL_SHORT=short
E:ID_REVISION=0102
"""
MAPPED = """\
E:DM_NAME=vg-lv
E:DM_UUID=LVM-1
E:DM_VG_NAME=vg
E:DM_LV_NAME=lv
E:ID_FS_TYPE=ext4
E:ID_FS_USAGE=filesystem
E:ID_FS_UUID=u-1
E:ID_FS_VERSION=1.0
"""

Make = Callable[..., Host]
Collect = Callable[[Any], Any]


@pytest.fixture
def host(make_host: Make) -> Host:
    """Two disks, a partition and a loop device; udev knows the disks."""
    return make_host(
        {
            "proc/diskstats": DISKSTATS,
            "sys/block/sda/queue/rotational": "1\n",
            "sys/block/dm-0/queue/rotational": "0\n",
            "udev/b8:0": ATA,
            "udev/b253:0": MAPPED,
        }
    )


def test_counters_are_in_base_units(host: Host, collect: Collect) -> None:
    """Seconds and bytes, except the discarded sectors, which node_exporter leaves as they are."""
    samples = collect(Diskstats(host, OPTIONS))
    expected = {
        "reads_completed_total": 1,
        "reads_merged_total": 2,
        "read_bytes_total": 1536,
        "read_time_seconds_total": 4,
        "writes_completed_total": 5,
        "writes_merged_total": 6,
        "written_bytes_total": 3584,
        "write_time_seconds_total": 8,
        "io_now": 9,
        "io_time_seconds_total": 10,
        "io_time_weighted_seconds_total": 11,
        "discards_completed_total": 12,
        "discards_merged_total": 13,
        "discarded_sectors_total": 14,
        "discard_time_seconds_total": 15,
        "flush_requests_total": 16,
        "flush_requests_time_seconds_total": 17,
    }
    for name, value in expected.items():
        assert samples[f'node_disk_{name}{{device="sda"}}'] == value, name


def test_info_is_what_udev_and_sysfs_know(host: Host, collect: Collect) -> None:
    """The short serial number before the long one; what is unknown is empty."""
    samples = collect(Diskstats(host, OPTIONS))
    sda = (
        'major="8",minor="0",path="pci-1",wwn="0x7",model="MODEL \\"X\\"",serial="short",revision="0102",rotational="1"'
    )
    assert samples[f'node_disk_info{{device="sda",{sda}}}'] == 1
    mapped = 'major="253",minor="0",path="",wwn="",model="",serial="",revision="",rotational="0"'
    assert samples[f'node_disk_info{{device="dm-0",{mapped}}}'] == 1


@pytest.mark.parametrize(
    ("properties", "serial"),
    [
        ("E:SCSI_IDENT_SERIAL=label\nE:ID_SERIAL_SHORT=short\nE:ID_SERIAL=long\n", "label"),
        ("E:SCSI_IDENT_SERIAL=\nE:ID_SERIAL=long\n", "long"),
    ],
)
def test_the_serial_number_is_the_one_on_the_label(host: Host, collect: Collect, properties: str, serial: str) -> None:
    """SCSI's own, then the short one, then the one that virtio disks have."""
    Path(host.udev_data / "b8:0").write_text(properties)
    assert f'serial="{serial}"' in collect(Diskstats(host, OPTIONS)).text


def test_filesystems_and_mapped_devices_are_told(host: Host, collect: Collect) -> None:
    """Only of disks of which udev says so."""
    samples = collect(Diskstats(host, OPTIONS))
    assert (
        samples['node_disk_filesystem_info{device="dm-0",type="ext4",usage="filesystem",uuid="u-1",version="1.0"}'] == 1
    )
    mapper = 'device="dm-0",name="vg-lv",uuid="LVM-1",vg_name="vg",lv_name="lv",lv_layer=""'
    assert samples[f"node_disk_device_mapper_info{{{mapper}}}"] == 1
    assert sum(series.startswith(("node_disk_filesystem", "node_disk_device_mapper")) for series in samples) == 2


def test_ata_disks_tell_about_cache_and_rotation(host: Host, collect: Collect) -> None:
    """A value that is no number is not there."""
    samples = collect(Diskstats(host, OPTIONS))
    assert samples['node_disk_ata_write_cache{device="sda"}'] == 1
    assert samples['node_disk_ata_write_cache_enabled{device="sda"}'] == 0
    assert samples['node_disk_ata_rotation_rate_rpm{device="sda"}'] == 7200
    Path(host.udev_data / "b8:0").write_text(ATA.replace("7200", "fast"))
    assert "rotation_rate" not in collect(Diskstats(host, OPTIONS)).text


def test_partitions_and_loop_devices_are_left_out(host: Host, collect: Collect) -> None:
    """By default; what they do the disk does."""
    text = collect(Diskstats(host, OPTIONS)).text
    assert 'device="sda1"' not in text
    assert 'device="loop0"' not in text
    assert 'device="dm-0"' in text


def test_an_include_replaces_the_default_exclude(host: Host, collect: Collect) -> None:
    """Otherwise no partition could ever be asked for."""
    samples = collect(Diskstats(host, OPTIONS | {"device-include": "^sda1$"}))
    assert samples['node_disk_reads_completed_total{device="sda1"}'] == 1
    assert 'device="sda"' not in samples.text


def test_an_include_and_an_exclude_exclude_each_other(host: Host) -> None:
    """When somebody gave both."""
    with pytest.raises(ConfigError, match=r"device-include.*device-exclude"):
        Diskstats(host, OPTIONS | {"device-include": "sda", "device-exclude": "sdb"})


def test_old_kernels_do_not_count_discards_and_flushes(make_host: Make, collect: Collect) -> None:
    """What is not counted is absent, not zero, disk by disk."""
    host = make_host(
        {"proc/diskstats": "8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n8 16 sdb 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15\n"}
    )
    samples = collect(Diskstats(host, OPTIONS))
    assert samples['node_disk_io_time_weighted_seconds_total{device="sda"}'] == 0.011
    assert samples['node_disk_discards_completed_total{device="sdb"}'] == 12
    assert 'node_disk_discards_completed_total{device="sda"}' not in samples
    assert "flush" not in samples.text


def test_a_node_without_udev_still_has_disks(make_host: Make, collect: Collect) -> None:
    """In a container there is none: nothing is wrong, nothing is counted as an error."""
    host = make_host({"proc/diskstats": DISKSTATS})
    host.udev_data = Root("/nonexistent")
    samples = collect(Diskstats(host, OPTIONS))
    empty = 'major="8",minor="0",path="",wwn="",model="",serial="",revision="",rotational="0"'
    assert samples[f'node_disk_info{{device="sda",{empty}}}'] == 1
    assert samples.errors == []


def test_keys_stay_the_same_objects_until_a_disk_comes(host: Host, make_host: Make) -> None:
    """That is what makes rendering cheap; a new disk is seen at once."""
    collector = Diskstats(host, OPTIONS)
    blocks = []
    for _ in range(2):
        out = Writer()
        collector.collect(out)
        blocks.append(out.blocks)
    assert all(first.keys is second.keys for first, second in zip(*blocks, strict=True))
    make_host({"proc/diskstats": DISKSTATS + "8 32 sdc 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n"})
    out = Writer()
    collector.collect(out)
    assert all(("sdc",) in block.keys for block in out.blocks if block.family.name.endswith("completed_total"))


def test_no_diskstats_is_an_error_of_the_collector(make_host: Make, collect: Collect) -> None:
    """A missing file is Gone, a garbled one Malformed."""
    with pytest.raises(Gone):
        collect(Diskstats(make_host({}), OPTIONS))
    with pytest.raises(Malformed):
        collect(Diskstats(make_host({"proc/diskstats": "8 0 sda 1\n"}), OPTIONS))


def test_a_node_without_disks_has_no_series(make_host: Make, collect: Collect) -> None:
    """And that is no error."""
    assert collect(Diskstats(make_host({"proc/diskstats": ""}), OPTIONS)) == {}
