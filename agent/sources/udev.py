"""``/run/udev/data/b<major>:<minor>``: what udev knows about a block device.

Source: udev's database, not a kernel file; its lines ``E:NAME=value`` are the properties that ``udevadm info``
shows. Since: udev 165. Shape: one record a line, the kind before the first colon. Errors: none; what is not a
property is not looked at. Cost: open, read and close, 9 us; the file is replaced at each event, so it is not kept.
"""

from __future__ import annotations

from agent.sources.root import Root

Properties = dict[str, str]


def parse_udev_properties(buf: bytes) -> Properties:
    """The properties by name. Text that is not UTF-8 (a vendor's model name) is kept readable."""
    properties = {}
    for line in buf.split(b"\n"):
        if line.startswith(b"E:"):
            name, found, value = line[2:].decode("utf-8", "replace").partition("=")
            if found:
                properties[name] = value
    return properties


def read_udev_data(udev_data: Root, major: int, minor: int) -> bytes:
    """The record of a block device. Raises Gone where udev does not know it: in a container, or for a loop device."""
    return udev_data.read_once(f"b{major}:{minor}")
