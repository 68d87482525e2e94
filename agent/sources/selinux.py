"""SELinux: whether the node enforces it, and whether it was configured to.

Source: <sysfs>/fs/selinux/enforce, <procfs>/self/attr/current, <rootfs>/etc/selinux/config; selinux(8).
Since: 3.0 at this place. Shape: ``1``; a label such as ``system_u:system_r:init_t:s0``; shell assignments.
Units: the mode, as libselinux numbers it. Errors: Gone, Malformed. Cost: 3 us where there is none, else three reads.
"""

from __future__ import annotations

from typing import Final

from agent.errors import Gone, SourceError
from agent.sources.number import read_number
from agent.sources.root import Root

DISABLED: Final = -1
MODES: Final = {"enforcing": 1, "permissive": 0}
_ENFORCE: Final = "fs/selinux/enforce"
_NO_POLICY: Final = b"kernel"  # every process has this label until a policy is loaded


def read_enabled(procfs: Root, sysfs: Root) -> bool:
    """Whether selinuxfs is mounted and a policy is loaded.

    The directory ``fs/selinux`` is there on any kernel that has SELinux; the file only once it is mounted.
    Mounted read-only counts too: that says something about our view of the node, not about the node.
    """
    if not sysfs.exists(_ENFORCE):
        if not sysfs.exists("fs"):
            raise Gone(sysfs / "fs", "without a sysfs there is no telling")
        return False
    try:
        return procfs.attribute("self/attr/current").rstrip(b"\0") != _NO_POLICY
    except SourceError:
        return True  # a policy that denies us even this is certainly loaded


def read_current_mode(sysfs: Root) -> int:
    """1 enforcing, 0 permissive."""
    return read_number(sysfs, _ENFORCE)


def parse_config(buf: bytes) -> int:
    """The mode to boot with. Anything but the two known words means DISABLED."""
    for line in buf.decode("utf-8", "replace").split("\n"):
        name, _, value = line.strip().partition("=")
        if name == "SELINUX":
            return MODES.get(value.strip('"'), DISABLED)
    return DISABLED


def read_config_mode(rootfs: Root) -> int:
    return parse_config(rootfs.read_once(rootfs.resolve("etc/selinux/config")))
