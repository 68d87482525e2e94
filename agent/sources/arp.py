"""``/proc/net/arp``: the IPv4 neighbours that the node knows or looks for.

Source: <procfs>/1/net/arp, proc_net(5). Since: 2.0. Units: entries. Errors: Malformed.
Cost: 10 us and 1 us per entry.

The kernel leaves out entries that need no resolution (NUD_NOARP) or have no state yet (NUD_NONE), and adds the
addresses it answers for as a proxy, marked ATF_PUBL, which are no neighbours and are not counted here.
"""

from __future__ import annotations

from typing import Final

from agent.errors import Malformed
from agent.sources.root import Root

ATF_PUBL: Final = 0x08


def parse_arp(buf: bytes) -> dict[str, int]:
    """Shape: a line of titles, then ``192.0.2.1  0x1  0x2  02:fc:00:00:00:05  *  eth0``. Gives entries by device.

    The hardware address is blank where the device has none.
    """
    *lines, rest = buf.split(b"\n")
    if rest or not lines or not lines[0].startswith(b"IP address"):
        raise Malformed("net/arp", "whole lines below a line of titles expected", buf)
    entries: dict[bytes, int] = {}
    for line in lines[1:]:
        words = line.split()
        try:
            device = words[5 if len(words) > 5 else 4]
            is_proxy = int(words[2], 16) & ATF_PUBL
        except (ValueError, IndexError):
            raise Malformed("net/arp", "six columns expected", line) from None
        if not is_proxy:
            entries[device] = entries.get(device, 0) + 1
    return {device.decode("utf-8", "surrogateescape"): count for device, count in sorted(entries.items())}


def read_arp(procfs: Root, path: str) -> dict[str, int]:
    """``path`` is the node's net/arp below ``procfs``."""
    return parse_arp(procfs.read(path))
