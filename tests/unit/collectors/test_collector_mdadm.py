"""The mdadm collector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.collectors.mdadm import Mdadm
from agent.errors import Absent, Malformed
from agent.sources.host import Host

MDSTAT = """\
Personalities : [raid1] [raid6] [raid5] [raid4]
md6 : active raid1 sdb2[2](F) sdc[1](S) sda2[0]
      195310144 blocks [2/1] [U_]
      [=>...................]  recovery =  8.5% (16775552/195310144) finish=17.0min speed=259783K/sec

md0 : active raid1 sdi1[0] sdj1[1]
      248896 blocks [2/2] [UU]

unused devices: <none>
"""
SYSFS = {
    "sys/block/md6/md/level": "raid1\n",
    "sys/block/md6/md/raid_disks": "2\n",
    "sys/block/md6/md/degraded": "1\n",
    "sys/block/md127/md/level": "container\n",
    "sys/block/md127/md/raid_disks": "\n",
}

Make = Callable[..., Host]
Collect = Callable[[Any], Any]


def test_an_array_is_its_state_its_disks_and_its_blocks(make_host: Make, collect: Collect) -> None:
    """Exactly one state is 1, and a busy array is not also active."""
    samples = collect(Mdadm(make_host({"proc/mdstat": MDSTAT, **SYSFS}), {}))
    states = {
        state: samples[f'node_md_state{{device="md6",state="{state}"}}']
        for state in ("active", "inactive", "recovering", "resync", "check")
    }
    assert states == {"active": 0, "inactive": 0, "recovering": 1, "resync": 0, "check": 0}
    assert samples['node_md_state{device="md0",state="active"}'] == 1
    disks = {
        state: samples[f'node_md_disks{{device="md6",state="{state}"}}'] for state in ("active", "failed", "spare")
    }
    assert disks == {"active": 1, "failed": 1, "spare": 1}
    assert samples['node_md_disks_required{device="md6"}'] == 2
    assert samples['node_md_blocks{device="md6"}'] == 195310144
    assert samples['node_md_blocks_synced{device="md6"}'] == 16775552
    assert samples['node_md_blocks_synced{device="md0"}'] == 248896


def test_sysfs_adds_disks_and_degraded_ones(make_host: Make, collect: Collect) -> None:
    """A container has no disks of its own: their number is absent, not zero."""
    samples = collect(Mdadm(make_host({"proc/mdstat": MDSTAT, **SYSFS}), {}))
    assert samples['node_md_raid_disks{device="md6"}'] == 2
    assert samples['node_md_degraded{device="md6"}'] == 1
    assert samples['node_md_degraded{device="md127"}'] == 0
    assert 'node_md_raid_disks{device="md127"}' not in samples


@pytest.mark.parametrize(
    ("sync", "state"), [("resync=PENDING", "resync"), ("check = 1% (1/248896) finish=1min speed=1K/sec", "check")]
)
def test_states_have_node_exporters_names(make_host: Make, collect: Collect, sync: str, state: str) -> None:
    """They differ from the words of mdstat."""
    mdstat = f"md0 : active raid1 sdi1[0] sdj1[1]\n  248896 blocks [2/2] [UU]\n   {sync}\n\n"
    samples = collect(Mdadm(make_host({"proc/mdstat": mdstat}), {}))
    assert [series for series in samples if "state=" in series and samples[series] == 1 and "_state" in series] == [
        f'node_md_state{{device="md0",state="{state}"}}'
    ]


def test_what_sysfs_cannot_tell_costs_only_itself(make_host: Make, collect: Collect) -> None:
    """mdstat's series are there all the same, and the error is told."""
    broken = SYSFS | {"sys/block/md6/md/raid_disks": "two\n"}
    samples = collect(Mdadm(make_host({"proc/mdstat": MDSTAT, **broken}), {}))
    assert samples['node_md_disks_required{device="md6"}'] == 2
    assert "raid_disks" not in samples.text
    assert [type(error) for error in samples.errors] == [Malformed]


def test_a_node_without_raid_is_absent(make_host: Make, collect: Collect) -> None:
    """The kernel has no mdstat: nothing is wrong."""
    with pytest.raises(Absent, match="mdstat"):
        collect(Mdadm(make_host({}), {}))


def test_a_kernel_with_raid_but_without_arrays_has_no_series(make_host: Make, collect: Collect) -> None:
    """And succeeds, as node_exporter does."""
    assert collect(Mdadm(make_host({"proc/mdstat": "Personalities : \nunused devices: <none>\n"}), {})) == {}
