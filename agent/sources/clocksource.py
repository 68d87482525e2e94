"""``/sys/devices/system/clocksource``: what the kernel tells time by.

Source: <sysfs>/devices/system/clocksource, sysfs-devices-system-clocksource. Since: 2.6.18.
Shape: names separated by blanks; one directory ``clocksource0`` on every machine so far. Units: none.
Errors: Malformed. Cost: two reads per device, 3 us each.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from agent.errors import Malformed
from agent.sources.root import Root

_DIRECTORY: Final = "devices/system/clocksource"


class Clocksource(NamedTuple):
    available: tuple[str, ...]
    current: str


def parse_names(buf: bytes, path: str) -> tuple[str, ...]:
    """Shape: ``kvm-clock tsc``. ``path`` is only for the error."""
    try:
        return tuple(buf.decode("ascii").split())
    except UnicodeDecodeError:
        raise Malformed(path, "names expected", buf) from None


def list_devices(sysfs: Root) -> list[str]:
    return [name for name in sysfs.list(_DIRECTORY) if name.startswith("clocksource") and name[11:12].isdigit()]


def read_clocksource(sysfs: Root, device: str) -> Clocksource:
    path = f"{_DIRECTORY}/{device}/current_clocksource"
    current = parse_names(sysfs.attribute(path), path)
    if len(current) != 1:
        raise Malformed(path, "one name expected", " ".join(current))
    path = f"{_DIRECTORY}/{device}/available_clocksource"
    return Clocksource(parse_names(sysfs.attribute(path), path), current[0])
