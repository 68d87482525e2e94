"""``/sys/class/net/bonding_masters`` and below: the bonds and the state of their links.

Source: <sysfs>/class/net/bonding_masters, class/net/<master>/bonding/slaves,
class/net/<master>/lower_<slave>/bonding_slave/mii_status; Documentation/networking/bonding.rst.
Since: 2.6.15, mii_status 3.14; the links were slave_<slave> before they were lower_<slave>.
Errors: Malformed; Gone without the bonding module. Cost: 2 us per file.
"""

from __future__ import annotations

from typing import NamedTuple

from agent.errors import Gone, Malformed
from agent.sources.root import Root


class Bond(NamedTuple):
    """``slaves`` is the state of each link by its device's name: ``up``, ``going down``, ``down``, ``going back``."""

    master: str
    slaves: dict[str, str]


def parse_names(buf: bytes) -> list[str]:
    """Shape: ``bond0 bond1``. More than fit one page end in ``++more++``, which no device is called."""
    if b"/" in buf or b"\0" in buf:
        raise Malformed("bonding", "names of devices expected", buf)
    return [name.decode("utf-8", "surrogateescape") for name in buf.split() if name != b"++more++"]


def parse_mii_status(buf: bytes) -> str:
    """Shape: ``up``."""
    return buf.decode("utf-8", "replace").strip()


def read_bonds(sysfs: Root) -> list[Bond]:
    """Raises Gone without the bonding module. Masters and slaves that vanish meanwhile are left out."""
    bonds = []
    for master in parse_names(sysfs.attribute("class/net/bonding_masters")):
        try:
            slaves = parse_names(sysfs.attribute(f"class/net/{master}/bonding/slaves"))
        except Gone:
            continue
        states = {slave: _read_state(sysfs, master, slave) for slave in slaves}
        bonds.append(Bond(master, {slave: state for slave, state in states.items() if state is not None}))
    return bonds


def _read_state(sysfs: Root, master: str, slave: str) -> str | None:
    for prefix in ("lower", "slave"):
        try:
            return parse_mii_status(sysfs.attribute(f"class/net/{master}/{prefix}_{slave}/bonding_slave/mii_status"))
        except Gone:
            continue
    return None
