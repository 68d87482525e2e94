"""What an image is made of, fetched once: ``python -m tests.image.ingredients``. Tests only look: ``path``.

A base image and the locked wheels. The base that the Dockerfile names is in a registry, which a test does not reach: an
equivalent one is made of Debian's packages (the same release, a newer bugfix of the same Python) and tagged in its
place. The wheels are those of an amd64 and of an arm64 node. It takes a minute and 150 MB, in a directory of the cache
that is named after this recipe; remove ``~/.cache/headroom/image`` to get newer packages.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.tools import lock, peers

SUITE: Final = "trixie"  # what python:3.13-slim is made of, too
PACKAGES: Final = ("python3", "python3-venv", "python3-pip", "libstdc++6")
PYTHON: Final = "3.13"
MACHINES: Final = ("x86_64", "aarch64")
PLATFORMS: Final = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
TOOLS: Final = ("mmdebstrap", "buildah")
DOCKERFILE: Final = lock.REPOSITORY / "Dockerfile"


def path() -> Path | None:
    """Where they are, or None while they were not fetched."""
    return _folder() if _folder().exists() else None


def possible() -> bool:
    """Whether this machine could fetch them."""
    return os.geteuid() == 0 and platform.machine() == "x86_64" and peers.on_debian()


def base() -> str:
    """The name of the base image, as the Dockerfile has it."""
    found = re.search(r"^ARG BASE=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert found, "the Dockerfile names no base"
    return found[1]


def buildah(storage: Path, *command: str, shared: Path | None = None) -> str:
    """What it printed. ``shared`` is another storage, whose images are used and never changed. Raises PeerError."""
    options = ("--root", f"{storage}/root", "--runroot", f"{storage}/run", "--storage-driver", "vfs")
    if shared:
        options = (*options, "--storage-opt", f"vfs.imagestore={shared}/root")
    return peers.run("buildah", *options, *command)


def fetch() -> Path:
    """Fetches them unless they are there. Raises PeerError."""
    folder = _folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # another run may be fetching the same
        if not folder.exists():
            if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
                raise peers.PeerError(f"an image needs {', '.join(missing)}")
            print("Fetching what an image is made of", file=sys.stderr)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetching-") as place:
                made = Path(place, "made")
                for machine in MACHINES:
                    _wheels(machine, made / "wheels" / machine)
                _base(Path(place), made / "storage")
                made.rename(folder)
    return folder


def _wheels(machine: str, to: Path) -> None:
    """By the locked hashes, for the Python of the base, whatever runs here. docs/air-gap.md has the same command."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
            *("--require-hashes", "--only-binary=:all:", f"--python-version={PYTHON}"),
            *(f"--platform={name}_{machine}" for name in PLATFORMS),
            *("-r", str(lock.PLACE / "build.txt"), "-r", str(lock.PLACE / "full.txt"), "--dest", str(to)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise peers.PeerError(f"pip download: {done.stderr.strip()}")


def _base(place: Path, storage: Path) -> None:
    context = place / "context"
    context.mkdir()
    unwanted = (f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale"))
    options = ("--quiet", "--mode=root", "--skip=check/qemu,output/dev", "--variant=essential", *unwanted)
    apt = ("--aptopt=Acquire::Languages=none", "--aptopt=APT::Install-Recommends=false")
    include = f"--include={','.join(PACKAGES)}"
    peers.run("mmdebstrap", *options, *apt, include, SUITE, str(context / "base.tar"), peers.archive())
    (context / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
    buildah(storage, "bud", "--quiet", "--isolation", "chroot", "--tag", base(), str(context))


def _folder() -> Path:
    return peers.cache() / "image" / recipe()


def recipe() -> str:
    """A name that changes with everything that the result is made of, but for the archive's packages."""
    digest = hashlib.sha256(Path(__file__).read_bytes() + base().encode())
    for name in ("build", "full"):
        digest.update((lock.PLACE / f"{name}.txt").read_bytes())
    return digest.hexdigest()[:16]


def main() -> int:
    if not possible():
        return 0  # tests that need it are skipped, and say so
    try:
        print(fetch())
    except peers.PeerError as error:
        print(f"image: {error}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
