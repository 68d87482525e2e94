"""A bootable cgroup v2 node of Debian's packages: ``python -m tests.node_vm.build``. Tests only look: ``path``.

QEMU, a kernel and a root filesystem of one suite, in a directory of the cache that is named after this recipe. Nothing
is installed on this machine. It takes a minute or two and 400 MB; remove ``~/.cache/headroom/node-vm`` to get newer
packages.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.tools import peers

HERE: Final = Path(__file__).parent
ROOTFS: Final = HERE / "rootfs"  # copied over the packages' files
SUITE: Final = "trixie"
MACHINE: Final = ("qemu-system-x86", "linux-image-cloud-amd64")
GUEST: Final = (
    *("systemd-sysv", "udev", "kmod", "dbus", "iproute2", "python3"),
    *("crun", "runc", "busybox-static"),  # containers, and what is in them
    *("python3-psutil", "python3-httptools"),  # what the agent imports
)
TOOLS: Final = ("mmdebstrap", "mke2fs", "zstd", "setpriv")
IMAGE_MIB: Final = 1500  # sparse
ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
MASKED: Final = HERE / "masked_units"  # they do nothing for a test but cost seconds of an emulated processor


def path() -> Path | None:
    """Where the node is, or None while it was not built."""
    return _folder() if _folder().exists() else None


def possible() -> bool:
    """Whether this machine could build it."""
    return os.geteuid() == 0 and platform.machine() == "x86_64" and peers.on_debian()


def build() -> Path:
    """Builds it unless it is there. Raises PeerError."""
    folder = _folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run may be building the same
        if not folder.exists():
            if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
                raise peers.PeerError(f"the virtual machine needs {', '.join(missing)}")
            print("Building a virtual machine with cgroup v2", file=sys.stderr)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix="building-") as place:
                _build(Path(place))
                Path(place, "node").rename(folder)
    return folder


def _build(place: Path) -> None:
    archive, node = peers.archive(), place / "node"
    with ThreadPoolExecutor() as pool:
        machine = pool.submit(_bootstrap, "extract", MACHINE, place / "machine", archive)
        guest = pool.submit(_bootstrap, "essential", GUEST, place / "guest", archive)
        machine.result()
        guest.result()
    node.mkdir()
    kernel = next((place / "machine/boot").glob("vmlinuz-*"))
    (node / "vmlinux").write_bytes(_unpacked(kernel.read_bytes()))
    _finish(place / "guest", place / "machine/usr/lib/modules")
    _image(place / "guest", node / "root.img")
    for name in ("lib/x86_64-linux-gnu", "share/qemu", "share/seabios"):
        shutil.copytree(place / "machine/usr" / name, node / "qemu" / name, symlinks=True)
    (node / "qemu/bin").mkdir()
    shutil.copy2(place / "machine/usr/bin/qemu-system-x86_64", node / "qemu/bin")


def _bootstrap(variant: str, packages: tuple[str, ...], root: Path, archive: str) -> None:
    unwanted = (f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale"))
    options = ("--quiet", "--mode=root", "--skip=check/qemu,output/dev", f"--variant={variant}", *unwanted)
    apt = ("--aptopt=Acquire::Languages=none", "--aptopt=APT::Install-Recommends=false")
    peers.run("mmdebstrap", *options, *apt, f"--include={','.join(packages)}", SUITE, str(root), archive)


def _finish(root: Path, modules: Path) -> None:
    """What the packages leave open: the kernel's modules, our own files, and the units that nobody needs."""
    shutil.copytree(modules, root / "usr/lib/modules", symlinks=True, dirs_exist_ok=True)
    version = next((root / "usr/lib/modules").iterdir()).name
    peers.run("chroot", str(root), "depmod", version)
    shutil.copytree(ROOTFS, root, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for unit in MASKED.read_text().split():
        file = root / "etc/systemd/system" / unit
        file.unlink(missing_ok=True)
        file.symlink_to("/dev/null")
    (root / "etc/fstab").write_text("")
    (root / "etc/hostname").write_text("node-vm\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost node-vm\n")
    (root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")


def _image(root: Path, file: Path) -> None:
    features = ("-O", "^has_journal,^metadata_csum,^64bit", "-E", "lazy_itable_init=0,root_owner=0:0", "-m", "0")
    peers.run("mke2fs", "-q", "-F", "-t", "ext4", *features, "-d", str(root), str(file), f"{IMAGE_MIB}M")


def _unpacked(kernel: bytes) -> bytes:
    """The ELF inside a bzImage: QEMU starts it at once, and an emulated processor need not decompress it."""
    for start in _occurrences(kernel, ZSTD_MAGIC):
        done = subprocess.run(["zstd", "-dcq"], input=kernel[start:], capture_output=True, check=False)
        if done.stdout.startswith(b"\x7fELF"):
            return done.stdout
    raise peers.PeerError("the kernel is not compressed by zstd any more")


def _occurrences(data: bytes, part: bytes) -> Iterator[int]:
    at = data.find(part)
    while at >= 0:
        yield at
        at = data.find(part, at + 1)


def _folder() -> Path:
    return peers.cache() / "node-vm" / recipe()


def recipe() -> str:
    """A name that changes with everything that the result is made of, but for the archive's packages."""
    digest = hashlib.sha256(Path(__file__).read_bytes() + MASKED.read_bytes())
    for file in sorted(ROOTFS.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            digest.update(str(file.relative_to(ROOTFS)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def main() -> int:
    if not possible():
        return 0  # tests that need it are skipped, and say so
    try:
        print(build())
    except peers.PeerError as error:
        print(f"node_vm: {error}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
