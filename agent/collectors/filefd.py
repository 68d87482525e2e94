"""How many files are open on the node, and how many may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.model import Declared, Family, Part, Writer
from agent.sources.filefd import read_file_nr
from agent.sources.host import Host

ALLOCATED = Family("node_filefd_allocated", "gauge", "File descriptor statistics: allocated.")
MAXIMUM = Family("node_filefd_maximum", "gauge", "File descriptor statistics: maximum.")


class Filefd:
    name: Final = "filefd"
    part: Final[Part] = "node"
    families: Final[Declared] = (ALLOCATED, MAXIMUM)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._procfs = host.procfs

    def collect(self, out: Writer) -> None:
        handles = read_file_nr(self._procfs)
        out.one(ALLOCATED, handles.allocated)
        out.one(MAXIMUM, handles.maximum)
