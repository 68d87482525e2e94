"""The image as it is built: how large it is, what is in it, and that only what is locked gets in.

Its base is not the registry's: see tests/image/ingredients.py.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import stat
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename

from agent import __version__
from agent.cli import COMMANDS
from tests.image import building, ingredients
from tests.image.building import SETS, Built
from tests.tools import lock
from tests.tools.peers import PeerError

needs_image = pytest.mark.needs("root", "image", "buildah", "runc")

LIMITS_MIB = {"pull": 30, "full": 45}
UNCHECKED = b"\1\0\0\0"  # PEP 552
HEADROOM = "/opt/headroom/bin/headroom"
NOBODY = ("chroot", "--userspec=65534:65534")
PATH = {"PATH": "/usr/sbin:/usr/bin"}  # of chroot


def run(built: Built, of: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of the image as nobody. Its stderr is what it printed there."""
    command = [*NOBODY, str(built.rootfs(of)), HEADROOM, *words]
    return subprocess.run(command, env=PATH, capture_output=True, text=True, check=False, timeout=60)


def files(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if not path.is_symlink())


@needs_image
@pytest.mark.parametrize("of", SETS)
class TestImage:
    """Of both sets."""

    def test_its_layers_are_small(self, built: Built, of: str, capsys: pytest.CaptureFixture[str]) -> None:
        """As a registry keeps them: at most 30 MiB to be scraped, 45 with both commands."""
        size = built.layers(of, "gzip")
        with capsys.disabled():
            print(f"\nimage {of}: {size / 2**20:.1f} MiB on {ingredients.base()}, made of Debian's {ingredients.SUITE}")
        assert size <= LIMITS_MIB[of] << 20

    def test_it_runs_as_nobody(self, built: Built, of: str) -> None:
        """By number, so that the kubelet can tell that it is not root."""
        image = built.image(of)
        assert (image.uid, image.gid) == (65534, 65534)
        assert (image.entrypoint, image.command) == (("headroom",), ("agent",))

    def test_everything_in_it_is_compiled(self, built: Built, of: str) -> None:
        """Each module has its bytecode, which is never held against the source's time: the root is read-only."""
        sources = [path for path in files(built.rootfs(of)) if path.suffix == ".py"]
        assert [path for path in sources if not list(path.parent.glob(f"__pycache__/{path.stem}.cpython-*.pyc"))] == []
        compiled = [path for path in files(built.rootfs(of)) if path.suffix == ".pyc"]
        assert [path for path in compiled if path.read_bytes()[4:8] != UNCHECKED] == []
        assert len(sources) > 500

    def test_nothing_else_is_in_it(self, built: Built, of: str) -> None:
        """No shell, no package manager, no compiler's work, nothing that raises rights or that others may write to."""
        root = built.rootfs(of)
        programs = {str(path.relative_to(root)) for path in files(root) if path.is_file() and path.parent.name == "bin"}
        assert programs == {"usr/bin/python3", HEADROOM.lstrip("/")}
        packages = {
            path.name.split("-")[0] for path in root.glob("opt/headroom/lib/python3*/site-packages/*.dist-info")
        }
        assert packages & {"pip", "setuptools", "wheel"} == set()
        modes = {path: path.stat().st_mode for path in files(root)}
        assert [path for path, mode in modes.items() if mode & (stat.S_ISUID | stat.S_ISGID)] == []
        assert [path for path, mode in modes.items() if mode & stat.S_IWOTH] == [root / "tmp"]

    def test_its_packages_are_the_locked_ones(self, built: Built, of: str) -> None:
        """At their locked versions, and ours."""
        found = {}
        for path in built.rootfs(of).glob("opt/headroom/lib/python3*/site-packages/*.dist-info"):
            name, _, version = path.name.removesuffix(".dist-info").rpartition("-")
            found[name.replace("_", "-").lower()] = version
        assert found == {**locked(of), "headroom-agent": __version__}

    def test_scanners_find_its_libraries(self, built: Built, of: str) -> None:
        """Each library that comes from Debian has its package where distroless images list them."""
        root = built.rootfs(of)
        listed = {path.name for path in root.glob("var/lib/dpkg/status.d/*")}
        assert {"libc6", "zlib1g"} <= listed
        assert any(name.startswith("libssl3") for name in listed)
        assert all("\nVersion: " in (root / "var/lib/dpkg/status.d" / name).read_text() for name in listed)

    def test_every_command_says_what_it_takes(self, built: Built, of: str) -> None:
        """Without a library missing."""
        assert run(built, of, "--version").stdout == f"headroom {__version__}\n"
        for command in COMMANDS:
            done = run(built, of, command, "--help")
            assert (done.returncode, done.stderr) == (0, ""), command


@needs_image
class TestPullOnly:
    """What the small image cannot do it says in one line."""

    def test_it_is_no_aggregator(self, built: Built) -> None:
        done = run(built, "pull", "aggregator")
        assert done.returncode == 2
        assert done.stderr == (
            "headroom aggregator: not in this installation, which has no grpc and no aiohttp: "
            "pip install 'headroom-agent[aggregator]', or take the image without -pull in its tag\n"
        )

    def test_it_does_not_push(self, built: Built) -> None:
        done = run(built, "pull", "agent", "--push.target=aggregator:9911", "--push.insecure")
        assert done.returncode == 2
        assert done.stderr == (
            "headroom agent: --push.target: this installation has no gRPC and can only be scraped or spool: "
            "pip install grpcio, or take the image without -pull in its tag\n"
        )


@needs_image
def test_a_wheel_that_is_not_the_locked_one_is_refused(built: Built, tmp_path: Path) -> None:
    """Whoever carried the wheels cannot have changed them."""
    context = tmp_path / "context"
    shutil.copytree(built.context, context)
    (wheel,) = context.glob("wheels/setuptools-*.whl")
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    with pytest.raises(PeerError, match="DO NOT MATCH THE HASHES"):
        built.buildah("bud", *building.OFFLINE, "--layers=false", "--tag", "changed", str(context))


@needs_image
@pytest.mark.parametrize("machine", ingredients.MACHINES)
def test_every_locked_package_has_a_wheel(machine: str) -> None:
    """For amd64 and for arm64, with a hash that is locked."""
    fetched = ingredients.path()
    assert fetched is not None
    wheels = list((fetched / "wheels" / machine).iterdir())
    names = {parse_wheel_filename(wheel.name)[0]: str(parse_wheel_filename(wheel.name)[1]) for wheel in wheels}
    assert names == {**locked("full"), **locked("build")}
    for wheel in wheels:
        platforms = {tag.platform for tag in parse_wheel_filename(wheel.name)[3]}
        assert platforms == {"any"} or all(platform.endswith(machine) for platform in platforms), wheel.name
        assert hashlib.sha256(wheel.read_bytes()).hexdigest() in (text("full") + text("build")), wheel.name


@pytest.mark.parametrize("of", lock.SETS)
def test_the_lock_is_what_pyproject_asks_for(of: str) -> None:
    """Every requirement has a locked version that it allows, but for gRPC in `pull`; `make lock` writes it anew."""
    project = tomllib.loads((lock.REPOSITORY / "pyproject.toml").read_text())
    asked = {
        "build": project["build-system"]["requires"],
        "pull": project["project"]["dependencies"],
        "full": project["project"]["dependencies"] + project["project"]["optional-dependencies"]["aggregator"],
    }[of]
    for requirement in map(Requirement, asked):
        if (of, requirement.name) == ("pull", "grpcio"):
            assert "grpcio" not in locked(of)
            continue
        assert requirement.specifier.contains(locked(of)[requirement.name.lower()]), requirement


def test_both_sets_agree() -> None:
    """The small image is a part of the large one: the same versions, the same files."""
    assert locked("pull").items() <= locked("full").items()
    assert all(line in text("full") for line in text("pull").splitlines())


def test_no_lock_says_where_it_was_written() -> None:
    """Names, versions and hashes, and nothing of the machine: no index, no path, no host."""
    for of in lock.SETS:
        lines = [line for line in text(of).splitlines() if line and not line.startswith("#")]
        assert [
            line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+ \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line)
        ] == []


def text(of: str) -> str:
    return (lock.PLACE / f"{of}.txt").read_text()


def locked(of: str) -> dict[str, str]:
    """Versions by name."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text(of), re.MULTILINE))
