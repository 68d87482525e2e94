"""Which kernel the node runs, and what the node is called.

uname(2) names the host of the caller's UTS namespace. In a pod that is the pod, so there the configured node name
stands in its place. ``node_exporter_build_info`` is here because dashboards find their nodes by it, as node_exporter's;
its version is ours.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

from agent import __version__
from agent.errors import Unsupported
from agent.model import Declared, Family, Key, Part, Writer
from agent.sources.host import Host

INFO = Family(
    "node_uname_info",
    "gauge",
    "Labeled system information as provided by the uname system call.",
    ("sysname", "release", "version", "machine", "nodename", "domainname"),
)
BUILD_INFO = Family(
    "node_exporter_build_info",
    "gauge",
    "A metric with a constant '1' value labeled by version, revision, branch, goversion from which node_exporter was"
    " built, and the goos and goarch for the build.",
    ("branch", "goarch", "goos", "goversion", "revision", "tags", "version"),
)
GO_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


class Uname:
    name: Final = "uname"
    part: Final[Part] = "node"
    families: Final[Declared] = (INFO, BUILD_INFO)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._calls = host.calls
        self._node_name = host.node_name
        self._language = "python" + ".".join(map(str, sys.version_info[:3]))

    def collect(self, out: Writer) -> None:
        uname = self._calls.uname()
        nodename = uname.nodename if self._calls.sees_host_name else self._node_name
        if not nodename:
            raise Unsupported(
                "uname(2)", "it names this pod, not the node, and no name is configured; give --node-name"
            )
        out.info(INFO, (uname.sysname, uname.release, uname.version, uname.machine, nodename, uname.domainname))
        out.info(BUILD_INFO, self._build(uname.machine))

    def _build(self, machine: str) -> Key:
        return ("", GO_ARCHITECTURES.get(machine, machine), "linux", self._language, "", "", __version__)
