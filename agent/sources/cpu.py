"""``/sys/devices/system/cpu``: which CPUs are online or isolated, and how often heat slowed them down.

Source: <sysfs>/devices/system/cpu, sysfs-devices-system-cpu. Since: 2.6; ``isolated`` 4.2; ``thermal_throttle`` only
on Intel's. Shape: lists such as ``0-3,8`` and whole numbers. Units: CPU numbers, counts. Errors: Malformed.
Cost: 3 us per attribute; finding the throttle counters opens up to four files per CPU, so do it once.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeVar

from agent.errors import Malformed, SourceError
from agent.sources.number import parse_number
from agent.sources.root import Root

CPUS_MAX: Final = 1 << 16  # no kernel is built for so many; a list that names more is garbage
_DIRECTORY: Final = "devices/system/cpu"
_K = TypeVar("_K")


class ThrottleCounters(NamedTuple):
    """Where the counters are: one file per (package, core) and one per package, both as the kernel numbers them."""

    cores: dict[tuple[str, str], str]
    packages: dict[str, str]


def parse_cpu_list(buf: bytes, path: str) -> tuple[int, ...]:
    """Shape: ``0-3,8``, or nothing. ``path`` is only for the error."""
    cpus: list[int] = []
    for item in buf.strip().split(b",") if buf.strip() else ():
        first, dash, last = item.partition(b"-")
        try:
            low, high = int(first), int(last if dash else first)
        except ValueError:
            raise Malformed(path, "a list of CPUs expected", buf) from None
        if not 0 <= low <= high < CPUS_MAX:
            raise Malformed(path, "a list of CPUs expected", buf)
        cpus += range(low, high + 1)
    return tuple(cpus)


def read_isolated(sysfs: Root) -> tuple[int, ...]:
    """The CPUs that the scheduler leaves alone (``isolcpus=``)."""
    return _read_list(sysfs, "isolated")


def read_online(sysfs: Root) -> tuple[int, ...]:
    return _read_list(sysfs, "online")


def list_cpus(sysfs: Root) -> tuple[int, ...]:
    """The CPUs that have a directory, online or not."""
    return tuple(sorted(int(name[3:]) for name in sysfs.list(_DIRECTORY) if _is_cpu(name)))


def has_switch(sysfs: Root, cpu: int) -> bool:
    """Whether this CPU can be taken offline."""
    return sysfs.exists(f"{_DIRECTORY}/cpu{cpu}/online")


def find_throttle_counters(sysfs: Root) -> ThrottleCounters:
    """The CPUs of a core or package share a counter; the first that has the file stands for all of them."""
    found = ThrottleCounters({}, {})
    for cpu in list_cpus(sysfs):
        directory = f"{_DIRECTORY}/cpu{cpu}"
        if not sysfs.exists(f"{directory}/thermal_throttle"):
            continue
        try:
            package = _read_id(sysfs, f"{directory}/topology/physical_package_id")
            core = _read_id(sysfs, f"{directory}/topology/core_id")
        except SourceError:
            continue  # offline, or a machine that does not tell: nothing to name its counter by
        _claim(found.cores, (package, core), sysfs, f"{directory}/thermal_throttle/core_throttle_count")
        _claim(found.packages, package, sysfs, f"{directory}/thermal_throttle/package_throttle_count")
    return found


def _claim(counters: dict[_K, str], key: _K, sysfs: Root, path: str) -> None:
    if key not in counters and sysfs.exists(path):
        counters[key] = path


def _read_id(sysfs: Root, path: str) -> str:
    number = parse_number(sysfs.read_once(path), path)
    if number < 0:
        raise Malformed(path, "not negative expected", str(number))
    return str(number)


def _read_list(sysfs: Root, name: str) -> tuple[int, ...]:
    path = f"{_DIRECTORY}/{name}"
    return parse_cpu_list(sysfs.attribute(path), path)


def _is_cpu(name: str) -> bool:
    return name.startswith("cpu") and name[3:].isascii() and name[3:].isdigit()
