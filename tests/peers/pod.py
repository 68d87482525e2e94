"""Runs a module of ours as a pod would run it: ``unshare ... python3 -m tests.peers.pod SCRATCH HOSTNAME``.

The new namespaces get what a container runtime gives them: a host name, a loopback device, their own /proc and /sys.
The node's trees are bound below SCRATCH (``proc``, ``sys``, ``root``), the program and its interpreter beside them
(``src``, ``packages``, ``python``), as nobody may have no way in where they really are: a home directory is closed to
others. That interpreter then runs the module, given after HOSTNAME with its arguments. Mounts end with the namespace.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys
import sysconfig
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
NOBODY = 65534
MS_NOSUID, MS_BIND, MS_REC = 0x2, 0x1000, 0x4000
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str, flags: int) -> None:
    os.makedirs(target, exist_ok=True)
    if _libc.mount(source.encode(), target.encode(), kind.encode(), flags, None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def enter(scratch: str, hostname: str) -> None:
    """Makes the pod's surroundings. The host's mounts are private to this namespace already (unshare sees to it)."""
    mount("tmpfs", scratch, "tmpfs", MS_NOSUID)
    os.chmod(scratch, 0o755)
    packages, python = sysconfig.get_path("platlib"), sys.base_prefix
    trees = {"proc": "/proc", "sys": "/sys", "src": str(REPOSITORY), "packages": packages, "python": python}
    for name, source in trees.items():
        mount(source, f"{scratch}/{name}", "", MS_BIND | MS_REC)
    mount("/", f"{scratch}/root", "", MS_BIND | MS_REC)
    mount("proc", "/proc", "proc", MS_NOSUID)
    mount("sysfs", "/sys", "sysfs", MS_NOSUID)
    socket.sethostname(hostname)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def become_nobody() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def main(scratch: str, hostname: str, *arguments: str) -> None:
    enter(scratch, hostname)
    become_nobody()
    os.chdir("/")
    python = f"{scratch}/python/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": f"{scratch}/src:{scratch}/packages",
        "LD_LIBRARY_PATH": f"{scratch}/python/lib",  # an interpreter that was built shared has its library beside it
    }
    os.execve(python, (python, "-m", *arguments), environment)


if __name__ == "__main__":
    main(*sys.argv[1:])
