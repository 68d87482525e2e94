"""Whether the node enforces SELinux. Where there is none, only that is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.model import Declared, Family, Part, Writer
from agent.sources.host import Host
from agent.sources.selinux import read_config_mode, read_current_mode, read_enabled

ENABLED = Family("node_selinux_enabled", "gauge", "SELinux is enabled, 1 is true, 0 is false")
CONFIG_MODE = Family("node_selinux_config_mode", "gauge", "Configured SELinux enforcement mode")
CURRENT_MODE = Family("node_selinux_current_mode", "gauge", "Current SELinux enforcement mode")


class Selinux:
    name: Final = "selinux"
    part: Final[Part] = "node"
    families: Final[Declared] = (ENABLED, CONFIG_MODE, CURRENT_MODE)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._host = host

    def collect(self, out: Writer) -> None:
        enabled = read_enabled(self._host.procfs, self._host.sysfs)
        out.one(ENABLED, int(enabled))
        if not enabled:
            return
        with out.optional:
            out.one(CONFIG_MODE, read_config_mode(self._host.rootfs))
        with out.optional:
            out.one(CURRENT_MODE, read_current_mode(self._host.sysfs))
