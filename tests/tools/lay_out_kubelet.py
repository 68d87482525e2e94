"""Lays a recording of a kubelet's node out as a recorded node, with real ``proc/`` and ``sys/fs/cgroup/`` trees.

``python3 -m tests.tools.lay_out_kubelet NAME.tar.gz`` made ``tests/fixtures/nodes/kubelet-NAME.tar.gz``, and of
``idle`` what cAdvisor said at the same moment, ``tests/fixtures/kubelet/idle/metrics_cadvisor.txt.gz``. The recording
has its files flattened: ``cgroup/<controller>/...``, and ``proc/net_dev`` for ``/proc/1/net/dev``.

What it lacks stays lacking: processes, ``cgroup.procs``, and when the directories were made (all are of one time here).
Its root cgroups' empty files stand for files that a root has not, and are left out.
"""

from __future__ import annotations

import gzip
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

from tests.tools.recorded import Directory, Member, archive_of, pack

BODIES = archive_of("").parents[1] / "kubelet"
_PLACES = {
    "net_dev": "1/net/dev",
    "pressure_cpu": "pressure/cpu",
    "pressure_io": "pressure/io",
    "pressure_memory": "pressure/memory",
    "sys_kernel_pid_max": "sys/kernel/pid_max",
    "sys_kernel_threads-max": "sys/kernel/threads-max",
}
_SPACE = ("f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree")


def lay_out(files: dict[str, bytes]) -> dict[str, Member]:
    """Members of a recorded node, by their path in it."""
    members: dict[str, Member] = {}
    for name, content in files.items():
        tree, _, path = name.partition("/")
        if tree == "proc" and path != "statvfs.json":
            members[f"proc/{_PLACES.get(path, path)}"] = content
        elif tree == "cgroup" and content:
            members[f"sys/fs/cgroup/{path}"] = content
            members |= {f"sys/fs/{parent}": Directory() for parent in map(str, Path(name).parents) if "/" in parent}
    return members


def answers(statvfs: dict[str, Any]) -> dict[str, Any]:
    """The calls that were recorded with it."""
    return {
        "page_bytes": 4096,
        "clock_ticks_per_s": 100,
        "time_s": statvfs["time"],
        "monotonic_s": 1600.0,
        "statvfs": {path: [*(said[f] for f in _SPACE), False] for path, said in statvfs["statvfs"].items()},
    }


def main(source: str) -> None:
    files: dict[str, bytes] = {}
    with tarfile.open(source) as archive:
        for info in archive.getmembers():
            file = archive.extractfile(info)
            if file is not None:
                files[info.name.partition("/")[2]] = file.read()
    calls = answers(json.loads(files["proc/statvfs.json"]))
    name = Path(source).name.removesuffix(".tar.gz")
    pack(archive_of(f"kubelet-{name}"), lay_out(files), calls)
    if name != "idle":
        return
    said = gzip.compress(files["metrics_cadvisor.txt"], 9, mtime=int(calls["time_s"]))
    (BODIES / "idle" / "metrics_cadvisor.txt.gz").write_bytes(said)


if __name__ == "__main__":
    main(*sys.argv[1:])
