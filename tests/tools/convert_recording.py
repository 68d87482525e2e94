"""Turns a recording of a cgroup-v2 node (its files and a MANIFEST.json) into the layout of a recorded node.

``python3 -m tests.tools.convert_recording IN.tar.gz tests/fixtures/nodes/cgroup2.tar.gz`` made that fixture, once.

What the recording lacks stays lacking: no ``proc/1/net`` (its ``proc/net`` was read in the node's own network), few
attributes of network devices, nothing about clocks and filesystems. Left out are command lines and process limits.
"""

from __future__ import annotations

import json
import re
import sys
import tarfile
from pathlib import Path
from typing import Any

from tests.tools.recorded import pack

MANIFEST = "MANIFEST.json"
_LEFT_OUT = re.compile(
    r"proc/(\d+/(cmdline|limits|io|schedstat)|(?!1/)\d+/mountinfo|self/.*|cmdline|net/(unix|tcp6?|route))$"
)


def answers(manifest: dict[str, Any], domain: str) -> dict[str, Any]:
    """The calls that the manifest answers: no statvfs, no adjtimex, no time zone."""
    return {
        "page_bytes": manifest["page_size"],
        "clock_ticks_per_s": manifest["clk_tck"],
        "time_s": manifest["start"],
        "monotonic_s": manifest["boottime_start_ns"] / 1e9,
        "uname": [*manifest["uname"], domain],
    }


def main(source: str, target: str) -> None:
    files: dict[str, bytes] = {}
    with tarfile.open(source) as archive:
        for info in archive.getmembers():
            file = archive.extractfile(info)
            if file is not None and not _LEFT_OUT.match(info.name):
                files[info.name] = file.read()
    manifest = json.loads(files.pop(MANIFEST))
    # The manifest has five fields of uname(2). The sixth is what the kernel starts with; nothing on that node sets it.
    pack(Path(target), files, answers(manifest, domain="(none)"))


if __name__ == "__main__":
    main(*sys.argv[1:])
