"""Which kernel the node runs, and what the node is called.

uname(2) names the host of the caller's UTS namespace. In a pod that is the pod, so there the configured node name
stands in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.errors import Unsupported
from agent.model import Declared, Family, Part, Writer
from agent.sources.host import Host

INFO = Family(
    "node_uname_info",
    "gauge",
    "Labeled system information as provided by the uname system call.",
    ("sysname", "release", "version", "machine", "nodename", "domainname"),
)


class Uname:
    name: Final = "uname"
    part: Final[Part] = "node"
    families: Final[Declared] = (INFO,)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._calls = host.calls
        self._node_name = host.node_name

    def collect(self, out: Writer) -> None:
        uname = self._calls.uname()
        nodename = uname.nodename if self._calls.sees_host_name else self._node_name
        if not nodename:
            raise Unsupported(
                "uname(2)", "it names this pod, not the node, and no name is configured; give --node-name"
            )
        out.info(INFO, (uname.sysname, uname.release, uname.version, uname.machine, nodename, uname.domainname))
