"""The node's clock, its time zone, and what the kernel tells time by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.model import Declared, Family, Part, Writer
from agent.sources.clocksource import list_devices, read_clocksource
from agent.sources.host import Host

SECONDS = Family("node_time_seconds", "gauge", "System time in seconds since epoch (1970).")
ZONE_OFFSET = Family("node_time_zone_offset_seconds", "gauge", "System time zone offset in seconds.", ("time_zone",))
AVAILABLE = Family(
    "node_time_clocksource_available_info",
    "gauge",
    "Available clocksources read from '/sys/devices/system/clocksource'.",
    ("device", "clocksource"),
)
CURRENT = Family(
    "node_time_clocksource_current_info",
    "gauge",
    "Current clocksource read from '/sys/devices/system/clocksource'.",
    ("device", "clocksource"),
)


class Time:
    name: Final = "time"
    part: Final[Part] = "node"
    families: Final[Declared] = (SECONDS, ZONE_OFFSET, AVAILABLE, CURRENT)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._calls = host.calls
        self._sysfs = host.sysfs
        self._devices: list[str] = []

    def collect(self, out: Writer) -> None:
        out.one(SECONDS, self._calls.time_s())
        zone, offset_s = self._calls.timezone()
        out.many(ZONE_OFFSET, ((zone,),), (offset_s,))
        with out.optional:
            self._collect_clocksources(out)

    def _collect_clocksources(self, out: Writer) -> None:
        """A device is called by its place in the list. The list is the kernel's for good, once it is there."""
        self._devices = self._devices or list_devices(self._sysfs)
        sources = [read_clocksource(self._sysfs, device) for device in self._devices]
        available = [(str(i), name) for i, source in enumerate(sources) for name in source.available]
        if available:
            out.info(AVAILABLE, *available)
        if sources:
            out.info(CURRENT, *((str(i), source.current) for i, source in enumerate(sources)))
