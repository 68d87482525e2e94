"""Recorded nodes: archives of kernel files and of the kernel's answers, and how tests open one.

Layout: ``proc/ sys/ root/ udev/ calls.json``. Symbolic links are kept as links inside their tree, so a recorded
``sys/class/net/eth0`` leads to ``sys/devices/...`` as it does on the node. ``tests/tools/record_node.py`` makes one.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

NODES = Path(__file__).resolve().parents[1] / "fixtures" / "nodes"
TREES = ("proc", "sys", "root", "udev")
CALLS = "calls.json"


class Link(NamedTuple):
    """A symbolic link: where it points, relative to its own directory."""

    target: str


class Directory(NamedTuple):
    """A directory that may stay empty: that it exists is what it says."""


Member = bytes | Link | Directory


class Node(NamedTuple):
    """A recorded node unpacked in ``directory``."""

    directory: Path

    @property
    def settings(self) -> dict[str, str]:
        """The agent's settings that point it at this node, by key."""
        return {
            "path.procfs": f"{self.directory}/proc",
            "path.sysfs": f"{self.directory}/sys",
            "path.rootfs": f"{self.directory}/root",
            "path.udev.data": f"{self.directory}/udev",
            "path.calls": f"{self.directory}/{CALLS}",
        }

    def files(self) -> list[Path]:
        """Every recorded file of the trees, each once."""
        found = (path for tree in TREES for path in (self.directory / tree).rglob("*"))
        return sorted(path for path in found if path.is_file() and not path.is_symlink())


def archive_of(name: str) -> Path:
    return NODES / f"{name}.tar.gz"


def unpack(path: Path, directory: Path) -> Node:
    """A recorded node as files in an existing, empty directory."""
    with tarfile.open(path) as archive:
        # newer Pythons ask for a filter, the oldest we run on has none
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        archive.extractall(directory)
    for tree in TREES:
        (directory / tree).mkdir(exist_ok=True)
    return Node(directory)


def pack(path: Path, members: Mapping[str, Member], calls: Mapping[str, Any]) -> None:
    """Writes an archive that depends on nothing but its members: sorted, without owners and times of the writer."""
    time_s = int(calls["time_s"])
    everything = {**members, CALLS: (json.dumps(calls, indent=1) + "\n").encode()}
    with (
        open(path, "wb") as file,
        gzip.GzipFile("", "wb", 9, file, mtime=time_s) as squeezed,
        tarfile.open(fileobj=squeezed, mode="w") as archive,
    ):
        for name in sorted(everything):
            _add(archive, name, everything[name], time_s)


def _add(archive: tarfile.TarFile, name: str, member: Member, time_s: int) -> None:
    info = tarfile.TarInfo(name)
    info.mtime = time_s
    if isinstance(member, bytes):
        info.size, info.mode = len(member), 0o644
        archive.addfile(info, io.BytesIO(member))
    elif isinstance(member, Link):
        info.type, info.linkname = tarfile.SYMTYPE, member.target
        archive.addfile(info)
    else:
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(info)
