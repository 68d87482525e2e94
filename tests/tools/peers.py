"""The programs that tests hold Headroom against: Debian's packages, unpacked into a cache and never installed.

``python -m tests.tools.peers`` prepares this machine: it fetches every peer and, as root, installs the small tools that
tests call. ``python -m tests.tools.peers NAME`` prints one peer's path, after fetching it. Tests only look: ``path``.

Helm, which Debian does not have, is built from its module by ``go install`` where go is installed: minutes, once.

Nothing here starts a service. The archive is the one that apt already uses on this machine, apt checks its signatures,
and apt's own lists stay as they are. The cache is ``$XDG_CACHE_HOME/headroom/peers``; remove it to get newer ones.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"


class Peer(NamedTuple):
    """A program in a package of one of Debian's suites. These are Go programs: they run on older releases too."""

    suite: str
    package: str
    program: str


PEERS: Final[dict[str, Peer]] = {
    "node_exporter": Peer("sid", "prometheus-node-exporter", "prometheus-node-exporter"),
    "prometheus": Peer("sid", "prometheus", "prometheus"),
    "prometheus2": Peer("bookworm", "prometheus", "prometheus"),
    "promtool": Peer("bookworm", "prometheus", "promtool"),
    "kubectl": Peer("trixie", "kubectl", "kubectl"),  # bookworm's cannot read kustomize components
}
TOOLS: Final[dict[str, str]] = {
    "ip": "iproute2",
    "curl": "curl",
    "openssl": "openssl",
    "dbus-daemon": "dbus-daemon",
    "runc": "runc",
    "mmdebstrap": "mmdebstrap",  # these three build the virtual machine of tests/node_vm
    "mke2fs": "e2fsprogs",
    "zstd": "zstd",
    "buildah": "buildah",  # builds the image of tests/image; with it comes the seccomp profile that pods run under
    "skopeo": "skopeo",
}


class Built(NamedTuple):
    """A Go program, by its package and the version of its module."""

    package: str
    version: str

    @property
    def program(self) -> str:
        return self.package.rpartition("/")[2]


BUILT: Final[dict[str, Built]] = {"helm": Built("helm.sh/helm/v3/cmd/helm", "v3.22.0")}


class PeerError(Exception):
    """A peer that cannot be had here, and why."""


def path(name: str) -> Path | None:
    """Where a peer is, or None while it was not fetched."""
    if name in BUILT:
        program = _folder(BUILT[name]) / BUILT[name].program
    else:
        program = _folder(PEERS[name]) / "usr/bin" / PEERS[name].program
    return program if program.exists() else None


def on_debian() -> bool:
    """Whether this machine could fetch peers, and install tools when asked by root."""
    return _release().get("ID") == "debian" and shutil.which("apt-get") is not None


def can_build() -> bool:
    """Whether this machine could build the peers that are Go modules."""
    return shutil.which("go") is not None


def fetch(names: Sequence[str]) -> None:
    """Fetches or builds what is not in the cache. Raises PeerError."""
    for built in (BUILT[name] for name in names if name in BUILT and not path(name)):
        _build(built)
    missing = {PEERS[name][:2]: PEERS[name] for name in names if name in PEERS and not _folder(PEERS[name]).exists()}
    if not missing:
        return
    if not on_debian():
        raise PeerError(f"{', '.join(names)}: only fetched on Debian")
    with tempfile.TemporaryDirectory(prefix="headroom-apt-") as place:
        apt = _Apt(Path(place), {suite for suite, _ in missing})
        for peer in missing.values():
            print(f"Fetching {peer.package} of {peer.suite}", file=sys.stderr)
            _unpack(apt.download(peer), _folder(peer))


def install_tools() -> None:
    """Installs what tests call and this machine lacks; only root can. Raises PeerError."""
    packages = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if packages and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"Installing {' '.join(packages)}", file=sys.stderr)
        run("apt-get", "update")
        run("apt-get", "install", "--yes", "--no-install-recommends", *packages)


class _Apt:
    """An apt of its own: this machine's archive and settings, other suites, and lists in a folder of ours."""

    def __init__(self, place: Path, suites: set[str]) -> None:
        uri = archive()
        sources = (f"deb [signed-by={KEYRING}] {uri} {suite} main\n" for suite in sorted(suites))
        (place / "sources.list").write_text("".join(sources))
        (place / "status").touch()
        (place / "lists/partial").mkdir(parents=True)
        (place / "archives/partial").mkdir(parents=True)
        self._place = place
        self._options = [
            f"-oDir::Etc::SourceList={place}/sources.list",
            "-oDir::Etc::SourceParts=-",
            "-oDir::Etc::PreferencesParts=-",
            f"-oDir::State={place}",
            f"-oDir::State::status={place}/status",
            f"-oDir::Cache={place}",
            "-oAPT::Sandbox::User=",  # another user could not write to the folder
            "-oAcquire::Check-Valid-Until=false",  # a mirror that stands still is signed all the same
            "-oAcquire::Languages=none",
            "-oAcquire::Retries=3",
        ]
        run("apt-get", *self._options, "update")

    def download(self, peer: Peer) -> Path:
        folder = self._place / peer.suite / peer.package
        folder.mkdir(parents=True)
        run("apt-get", *self._options, "download", f"{peer.package}/{peer.suite}", cwd=folder)
        return next(folder.glob("*.deb"))


def archive() -> str:
    """The URI from which this machine gets its own release. Raises PeerError."""
    release = _release().get("VERSION_CODENAME", "")
    targets = run("apt-get", "indextargets", "--format", "$(COMPONENT) $(RELEASE) $(REPO_URI)", "Created-By: Packages")
    for line in targets.splitlines():
        component, suite, uri = line.split(" ", 2)
        if component == "main" and suite in (release, "stable", "oldstable", "testing", "unstable", "sid"):
            return uri
    raise PeerError("apt's sources on this machine name no Debian archive")


def _build(built: Built) -> None:
    if not can_build():
        raise PeerError(f"{built.program}: built by go, which is not installed")
    print(f"Building {built.package} {built.version}: minutes, once", file=sys.stderr)
    folder = _folder(built)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        options = (f"GOBIN={place}/files", "GOFLAGS=-trimpath -buildvcs=false")
        run("env", *options, "go", "install", f"{built.package}@{built.version}")
        if not folder.exists():  # another run may have been faster
            os.rename(f"{place}/files", folder)


def _unpack(package: Path, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        run("dpkg-deb", "--extract", str(package), f"{place}/files")
        if not folder.exists():  # another run may have been faster
            os.rename(f"{place}/files", folder)


def _folder(peer: Peer | Built) -> Path:
    name = f"go-{peer.program}-{peer.version}" if isinstance(peer, Built) else f"{peer.suite}-{peer.package}"
    return cache() / "peers" / name


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "headroom")


def _release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def run(*command: str, cwd: Path | None = None) -> str:
    """What it printed. Raises PeerError with what it said on stderr."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        said = str(getattr(error, "stderr", "") or error).strip()
        raise PeerError(f"{' '.join(word for word in command if not word.startswith('-o'))}: {said}") from None
    return done.stdout


def main(names: Sequence[str]) -> int:
    try:
        if names:
            fetch(names)
            print(*map(path, names), sep="\n")
        else:
            install_tools()
            fetch(list(PEERS))
            fetch([name for name in BUILT if can_build()])
    except PeerError as error:
        print(f"peers: {error}", file=sys.stderr)
        return 1 if names else 0  # tests that need what is missing are skipped, and say so
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
