"""Records the machine it runs on as a recorded node: ``python3 tests/tools/record_node.py OUT.tar.gz`` (as root).

What is read is written below, file by file: what the default collectors of node_exporter 1.11 or ours may read, and
the hardware that both know. Nothing that names people or places more than a metric needs: no command lines, no
environments, no serial numbers, no addresses of peers. Of processes only PID 1 and this one: to leave out a machine's
init or some of its mounts, record in namespaces of one's own (``unshare --mount --pid --fork --mount-proc``).
"""

from __future__ import annotations

import argparse
import glob
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent.errors import SourceError
from agent.sources.calls import SystemCalls
from tests.tools.recorded import Directory, Link, Member, pack

PROC = """
    buddyinfo cpuinfo diskstats filesystems interrupts loadavg mdstat meminfo partitions schedstat softirqs stat swaps
    uptime vmstat zoneinfo pressure/*
    sys/fs/file-max sys/fs/file-nr sys/fs/inode-nr
    sys/kernel/domainname sys/kernel/hostname sys/kernel/hung_task_detect_count sys/kernel/osrelease
    sys/kernel/ostype sys/kernel/pid_max sys/kernel/random/entropy_avail sys/kernel/random/poolsize
    sys/kernel/threads-max
    sys/net/netfilter/nf_conntrack_count sys/net/netfilter/nf_conntrack_max sys/vm/overcommit_memory sys/vm/swappiness
    1/mountinfo 1/mounts
    1/net/arp 1/net/bonding/* 1/net/dev 1/net/ip_vs 1/net/ip_vs_stats 1/net/netstat 1/net/protocols 1/net/rpc/nfs
    1/net/rpc/nfsd 1/net/snmp 1/net/snmp6 1/net/sockstat 1/net/sockstat6 1/net/softnet_stat 1/net/stat/*
    1/net/udp 1/net/udp6 1/net/udplite 1/net/udplite6 1/net/xfrm_stat
    spl/kstat/zfs/* spl/kstat/zfs/*/io spl/kstat/zfs/*/state spl/kstat/zfs/*/objset-*
"""
PROC_OF_A_PROCESS = "comm stat statm status"
SYS = """
    block/* block/*/dev block/*/size block/*/stat block/*/ro block/*/removable block/*/queue/rotational
    block/*/queue/logical_block_size block/*/queue/io_timeout block/*/device block/*/md/* block/*/bcache/*
    block/*/device/model block/*/device/state block/*/device/vendor
    class/net class/net/* class/net/*/* class/net/*/statistics/* class/net/*/bonding/* class/net/*/bonding_slave/*
    devices/system/clocksource/clocksource*/available_clocksource
    devices/system/clocksource/clocksource*/current_clocksource
    devices/system/cpu/isolated devices/system/cpu/offline devices/system/cpu/online devices/system/cpu/possible
    devices/system/cpu/present devices/system/cpu/cpu[0-9]* devices/system/cpu/cpu[0-9]*/online
    devices/system/cpu/cpu[0-9]*/topology/* devices/system/cpu/cpu[0-9]*/thermal_throttle/*
    devices/system/cpu/cpu[0-9]*/cpufreq devices/system/cpu/cpu[0-9]*/cpufreq/*
    devices/system/cpu/cpu[0-9]*/cpufreq/stats/* devices/system/cpu/vulnerabilities/*
    devices/system/edac/mc/* devices/system/edac/mc/mc*/*_count devices/system/edac/mc/mc*/csrow*/*_count
    devices/system/edac/mc/mc*/dimm*/* devices/system/node/node*/meminfo devices/system/node/node*/numastat
    class/dmi/id class/dmi/id/*_date class/dmi/id/*_name class/dmi/id/*_release class/dmi/id/*_type
    class/dmi/id/*_vendor class/dmi/id/*_version class/dmi/id/product_family class/dmi/id/product_sku
    class/fc_host class/fc_host/*/* class/fc_host/*/statistics/*
    class/hwmon class/hwmon/* class/hwmon/*/* class/hwmon/*/device/*
    class/infiniband class/infiniband/*/* class/infiniband/*/ports/*/* class/infiniband/*/ports/*/counters/*
    class/infiniband/*/ports/*/counters_ext/* class/infiniband/*/ports/*/hw_counters/*
    class/nvme class/nvme/*/cntlid class/nvme/*/firmware_rev class/nvme/*/model class/nvme/*/state
    class/power_supply class/power_supply/*/* class/powercap class/powercap/* class/powercap/*/*
    class/scsi_tape class/scsi_tape/*/stats/*
    class/thermal class/thermal/* class/thermal/*/type class/thermal/*/temp class/thermal/*/policy
    class/thermal/*/mode class/thermal/*/passive class/thermal/*/cur_state class/thermal/*/max_state
    class/watchdog class/watchdog/* class/watchdog/*/*
    fs fs/bcache fs/bcache/*/* fs/bcache/*/*/* fs/bcache/*/stats_*/* fs/bcachefs fs/bcachefs/*/*
    fs/btrfs fs/btrfs/*/label fs/btrfs/*/allocation/* fs/btrfs/*/allocation/*/* fs/btrfs/*/allocation/*/*/*
    fs/btrfs/*/commit_stats fs/btrfs/*/devices/* fs/btrfs/*/devinfo/*/* fs/btrfs/*/features/*
    fs/selinux fs/selinux/enforce fs/selinux/policyvers fs/xfs fs/xfs/stats/stats fs/xfs/*/stats/stats
    kernel/mm/transparent_hugepage/hpage_pmd_size
"""
ROOT = "etc/os-release usr/lib/os-release etc/selinux/config etc/localtime"
UDEV = "b*"
NOT = ("serial", "wwid", "uuid", "unbind", "bind", "uid")  # identities, and files that only take orders
CHUNK_BYTES = 1 << 20


class Recording:
    """The members found so far, and how many files would not be read."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self.unreadable = 0

    def take(self, tree: str, base: str, globs: str) -> None:
        """Everything below ``base`` that one of the globs matches."""
        self.members[tree] = Directory()
        for pattern in globs.split():
            for relative in sorted(glob.glob(pattern, root_dir=base)):
                if os.path.basename(relative) not in NOT:
                    self._take_one(tree, base, self._real(tree, base, relative))

    def _take_one(self, tree: str, base: str, relative: str) -> None:
        path = f"{base.rstrip('/')}/{relative}"
        try:
            mode = os.stat(path).st_mode
            if stat.S_ISREG(mode):
                self.members[f"{tree}/{relative}"] = _content(path)
            elif stat.S_ISDIR(mode):
                self.members[f"{tree}/{relative}"] = Directory()
        except OSError:
            self.unreadable += 1  # also says something: the attribute is not valid for this device

    def _real(self, tree: str, base: str, relative: str) -> str:
        """The path with the links on its way followed inside the tree, each of them recorded."""
        done: list[str] = []
        pending = relative.split("/")
        while pending:
            name = pending.pop(0)
            if name == "..":
                done.pop()
                continue
            path = "/".join((base.rstrip("/"), *done, name))
            if not os.path.islink(path):
                done.append(name)
                continue
            target = os.readlink(path)
            if target.startswith("/"):
                target = os.path.relpath(target, "/" + "/".join(done))
            self.members["/".join((tree, *done, name))] = Link(target)
            pending[:0] = target.split("/")
        return "/".join(done)

    def mount_points(self) -> Iterator[str]:
        content = self.members["proc/1/mountinfo"]
        assert isinstance(content, bytes), "it is a file"
        for line in content.splitlines():
            yield line.split()[4].decode("unicode_escape").encode("latin-1").decode()


def _content(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return b"".join(iter(lambda: os.read(fd, CHUNK_BYTES), b""))
    finally:
        os.close(fd)


def answers(mount_points: Iterator[str]) -> dict[str, Any]:
    """What RecordedCalls replays."""
    calls = SystemCalls("/proc", "/", "")
    spaces: dict[str, list[Any]] = {}
    for path in mount_points:
        try:
            spaces[path] = list(calls.statvfs(path))
        except SourceError:
            continue  # the kernel's refusal is recorded as a missing answer
    return {
        "page_bytes": calls.page_bytes,
        "clock_ticks_per_s": calls.clock_ticks_per_s,
        "time_s": calls.time_s(),
        "monotonic_s": calls.monotonic_s(),
        "timezone": list(calls.timezone()),
        "uname": list(calls.uname()),
        "adjtimex": list(calls.adjtimex()),
        "statvfs": spaces,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Records this machine as a recorded node.")
    parser.add_argument("out", type=Path, metavar="OUT.tar.gz")
    given = parser.parse_args()
    recording = Recording()
    recording.take("proc", "/proc", PROC)
    for pid in {1, os.getpid()}:
        recording.take("proc", "/proc", " ".join(f"{pid}/{name}" for name in PROC_OF_A_PROCESS.split()))
    recording.take("sys", "/sys", SYS)
    recording.take("root", "/", ROOT)
    recording.take("udev", "/run/udev/data", UDEV)
    pack(given.out, recording.members, answers(recording.mount_points()))
    files = sum(isinstance(member, bytes) for member in recording.members.values())
    print(f"{given.out}: {files} files, {recording.unreadable} that would not be read")
    return 0


if __name__ == "__main__":
    sys.exit(main())
