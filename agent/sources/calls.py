"""What the kernel answers to calls rather than in files: statvfs, uname, adjtimex, clocks, limits, addresses.

Two implementations: ``SystemCalls`` asks the kernel; ``RecordedCalls`` replays the answers of a recorded node
from a JSON file, so that a recording gives the same exposition on every machine.

Beware of what the kernel answers *per reader's namespace*, even through the host's procfs: uname(2),
``/proc/sys/kernel/hostname`` and ``/proc/sys/net``. ``sees_host_network`` and ``sees_host_name`` say whether
our answer is the node's; where it is not, the series is omitted with its reason, never wrong.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from functools import cache
from typing import Any, Final, NamedTuple, Protocol

from agent.errors import Malformed, Unsupported, from_oserror


class FilesystemSpace(NamedTuple):
    """statvfs(3): counts are of ``fragment_bytes`` blocks; ``read_only`` is ST_RDONLY."""

    fragment_bytes: int
    blocks: int
    blocks_free: int
    blocks_available: int
    files: int
    files_free: int
    read_only: bool


class Uname(NamedTuple):
    """uname(2) with its Linux domain name, which ``os.uname`` leaves out."""

    sysname: str
    nodename: str
    release: str
    version: str
    machine: str
    domainname: str


class Timex(NamedTuple):
    """adjtimex(2) as the kernel gives it: microseconds, or nanoseconds where ``status`` has STA_NANO."""

    state: int
    offset: int
    frequency: int
    maxerror: int
    esterror: int
    status: int
    constant: int
    tick: int
    pps_frequency: int
    jitter: int
    shift: int
    stability: int
    jitter_count: int
    calibration_count: int
    error_count: int
    stability_count: int
    tai: int


class NetworkAddress(NamedTuple):
    """getifaddrs(3): one address of a device of our network namespace, with its mask spelled like an address."""

    device: str
    address: str
    netmask: str


class Calls(Protocol):
    """The kernel's answers that a Host needs. ``path`` is a path on this machine."""

    page_bytes: int
    clock_ticks_per_s: int
    sees_host_network: bool
    sees_host_name: bool

    def statvfs(self, path: str) -> FilesystemSpace: ...
    def uname(self) -> Uname: ...
    def adjtimex(self) -> Timex: ...
    def time_s(self) -> float: ...
    def monotonic_s(self) -> float: ...
    def timezone(self) -> tuple[str, int]: ...
    def network_addresses(self) -> list[NetworkAddress]: ...


_UTSNAME: Final = "65s65s65s65s65s65s"
_TIMEX: Final = "=I4x4qi4x8qi4x5qi44x"  # struct timex on 64-bit Linux, 208 bytes


class SystemCalls:
    """Asks this machine. ``procfs`` and ``rootfs`` are where the node's trees are mounted for us."""

    def __init__(self, procfs: str, rootfs: str, localtime: str) -> None:
        self.page_bytes = os.sysconf("SC_PAGE_SIZE")
        self.clock_ticks_per_s = os.sysconf("SC_CLK_TCK")
        self.sees_host_network = _same_network(procfs)
        self.sees_host_name = _same_uts(procfs, self.sees_host_network)
        if rootfs not in ("", "/") and os.path.exists(localtime):
            os.environ["TZ"] = f":{localtime}"  # the node's zone, not the image's; libc reads the file
            _take_zone()

    def statvfs(self, path: str) -> FilesystemSpace:
        try:
            st = os.statvfs(path)
        except OSError as error:
            raise from_oserror(error, path) from None
        size = st.f_frsize or st.f_bsize
        return FilesystemSpace(
            size, st.f_blocks, st.f_bfree, st.f_bavail, st.f_files, st.f_ffree, bool(st.f_flag & os.ST_RDONLY)
        )

    def uname(self) -> Uname:
        answer = _libc_call("uname", struct.calcsize(_UTSNAME))[1]
        return Uname(
            *(field.split(b"\0", 1)[0].decode("utf-8", "replace") for field in struct.unpack(_UTSNAME, answer))
        )

    def adjtimex(self) -> Timex:
        state, answer = _libc_call("adjtimex", struct.calcsize(_TIMEX))
        f = struct.unpack(_TIMEX, answer)
        # modes, offset, freq, maxerror, esterror, status, constant, precision, tolerance, time.s, time.us, tick, ...
        return Timex(state, f[1], f[2], f[3], f[4], f[5], f[6], f[11], *f[12:21])

    def time_s(self) -> float:
        return time.time()

    def monotonic_s(self) -> float:
        return time.monotonic()

    def timezone(self) -> tuple[str, int]:
        now = time.localtime()
        zone = now.tm_zone.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        return zone, now.tm_gmtoff

    def network_addresses(self) -> list[NetworkAddress]:
        import psutil  # only for who wants addresses

        return [
            NetworkAddress(device.partition(":")[0], said.address, said.netmask)  # eth0:1 is a label, not a device
            for device, addresses in psutil.net_if_addrs().items()
            for said in addresses
            if said.family in (socket.AF_INET, socket.AF_INET6) and said.netmask
        ]


def _take_zone() -> None:
    """Makes libc read TZ. It has done so when Python cannot decode the zone's name."""
    try:
        time.tzset()
    except UnicodeDecodeError:
        pass


@cache
def _libc() -> Any:
    """The C library, once: each CDLL makes classes of its own."""
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def _libc_call(name: str, size: int) -> tuple[int, bytes]:
    """A libc function that fills one structure. Returns its result and the filled bytes."""
    import ctypes

    libc = _libc()
    buffer = ctypes.create_string_buffer(size)
    result = getattr(libc, name)(buffer)
    if result < 0:
        number = ctypes.get_errno()
        raise from_oserror(OSError(number, os.strerror(number)), f"{name}(2)")
    return result, buffer.raw


def _same_network(procfs: str) -> bool:
    """Whether our network namespace is that of the node's PID 1.

    ``/proc/1/ns/net`` needs ptrace rights that a good agent does not have. But the inode numbers below
    ``/proc/<pid>/net`` are allotted per network namespace, and anyone may stat them.
    """
    try:
        ours, node = os.stat("/proc/self/net/dev"), os.stat(f"{procfs}/1/net/dev")
    except OSError:
        return False
    return ours.st_ino == node.st_ino


def _same_uts(procfs: str, same_network: bool) -> bool:
    """Whether our host name is the node's: by the namespace links where readable, else as the network goes.

    A pod has its own UTS namespace unless it is on the host network, where the container runtimes share both.
    """
    try:
        return os.readlink("/proc/self/ns/uts") == os.readlink(f"{procfs}/1/ns/uts")
    except OSError:
        return same_network


class RecordedCalls:
    """The answers of a recorded node. ``document`` is the ``calls.json`` that ``tests/tools/record_node.py`` wrote."""

    sees_host_network = True
    sees_host_name = True

    def __init__(self, document: dict[str, Any], rootfs: str) -> None:
        self._said = document
        self._rootfs = rootfs.rstrip("/")
        self.page_bytes: int = document["page_bytes"]
        self.clock_ticks_per_s: int = document["clock_ticks_per_s"]

    @classmethod
    def read(cls, path: str, rootfs: str) -> RecordedCalls:
        import json

        try:
            with open(path, "rb") as file:
                return cls(json.load(file), rootfs)
        except OSError as error:
            raise from_oserror(error, path) from None
        except (ValueError, KeyError, TypeError) as error:
            raise Malformed(path, f"not a recording of calls: {error!r}") from None

    def statvfs(self, path: str) -> FilesystemSpace:
        relative = path.removeprefix(self._rootfs) or "/"
        answer = self._answer("statvfs").get(relative)
        if answer is None:
            raise Unsupported(path, "statvfs was not recorded")
        return FilesystemSpace(*answer)

    def uname(self) -> Uname:
        return Uname(*self._answer("uname"))

    def adjtimex(self) -> Timex:
        return Timex(*self._answer("adjtimex"))

    def time_s(self) -> float:
        return float(self._answer("time_s"))

    def monotonic_s(self) -> float:
        return float(self._answer("monotonic_s"))

    def timezone(self) -> tuple[str, int]:
        name, offset = self._answer("timezone")
        return name, offset

    def network_addresses(self) -> list[NetworkAddress]:
        return [NetworkAddress(*said) for said in self._answer("network_addresses")]

    def _answer(self, name: str) -> Any:
        if name not in self._said:
            raise Unsupported(name, "was not recorded")
        return self._said[name]
