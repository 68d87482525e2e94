"""Which distribution the node runs, and until when it is supported."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from agent.errors import Malformed
from agent.model import Declared, Family, Part, Writer
from agent.sources.host import Host
from agent.sources.os_release import Edition, find_os_release, read_os_release
from agent.sources.os_release import OsRelease as Release

INFO = Family(
    "node_os_info",
    "gauge",
    "A metric with a constant '1' value labeled by build_id, id, id_like, image_id, image_version, name, "
    "pretty_name, variant, variant_id, version, version_codename, version_id.",
    Release._fields[:12],
)
VERSION = Family(
    "node_os_version",
    "gauge",
    "Metric containing the major.minor part of the OS version.",
    ("id", "id_like", "name"),
)
SUPPORT_END = Family(
    "node_os_support_end_timestamp_seconds",
    "gauge",
    "Metric containing the end-of-life date timestamp of the OS.",
)
LOOK_EVERY_S: Final = 60.0


class OsRelease:
    name: Final = "os"
    part: Final[Part] = "node"
    families: Final[Declared] = (INFO, VERSION, SUPPORT_END)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._rootfs = host.rootfs
        self._calls = host.calls
        self._look_again_s = 0.0
        self._known: tuple[Edition, Release] | None = None

    def collect(self, out: Writer) -> None:
        release = self._release()
        out.info(INFO, release[:12])
        version = _major_minor(release.version_id)
        if version is not None:
            out.many(VERSION, ((release.id, release.id_like, release.name),), (version,))
        if release.support_end:
            with out.optional:
                out.one(SUPPORT_END, _midnight(release.support_end))

    def _release(self) -> Release:
        """An upgrade may replace the file: it is looked for once in ``LOOK_EVERY_S``, and read when it is another."""
        now_s = self._calls.monotonic_s()
        if self._known is None or now_s >= self._look_again_s:
            edition = find_os_release(self._rootfs)
            if self._known is None or self._known[0] != edition:
                self._known = (edition, read_os_release(self._rootfs, edition))
            self._look_again_s = now_s + LOOK_EVERY_S
        return self._known[1]


def _major_minor(version_id: str) -> float | None:
    """``24.04`` of ``24.04.1``. None for a rolling distribution, which has no version."""
    found = re.match(r"[0-9]+\.?[0-9]*", version_id)
    return float(found[0]) if found and float(found[0]) > 0 else None


def _midnight(day: str) -> int:
    """The start of that day, UTC, in seconds since the epoch."""
    import datetime  # only here: few distributions give a date, and the module costs memory in every agent

    try:
        return (datetime.date.fromisoformat(day) - datetime.date(1970, 1, 1)).days * 86400
    except ValueError:
        raise Malformed("os-release", "SUPPORT_END=YYYY-MM-DD expected", day) from None
