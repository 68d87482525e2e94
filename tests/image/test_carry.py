"""``docs/air-gap.md``, followed: what is packed outside is what is unpacked inside."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from agent import __version__
from tests.image import building, ingredients
from tests.image.building import Built
from tests.tools import lock, peers

PAGE: Final = lock.REPOSITORY / "docs" / "air-gap.md"
FOLLOWED: Final = re.compile(r"<!-- a test follows these commands.*?-->\n```sh\n(.*?)```", re.DOTALL)
NAME: Final = f"localhost/headroom-agent:{__version__}"


def side(place: Path, additional: Path | None = None) -> dict[str, str]:
    """The environment of one side of the gap: a storage of images of its own."""
    place.mkdir()
    stores = f'additionalimagestores = ["{additional}"]' if additional else ""
    text = (
        f'[storage]\ndriver = "vfs"\ngraphroot = "{place}/root"\nrunroot = "{place}/run"\n[storage.options]\n{stores}\n'
    )
    (place / "storage.conf").write_text(text)
    kubectl = peers.path("kubectl")
    assert kubectl, "the test says that it needs kubectl"
    path = f"{kubectl.parent}:{os.environ['PATH']}"
    return {**os.environ, "CONTAINERS_STORAGE_CONF": str(place / "storage.conf"), "PATH": path}


def follow(commands: str, environment: dict[str, str], cwd: Path) -> None:
    done = subprocess.run(
        ["sh", "-euxc", commands], env=environment, cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def image_id(environment: dict[str, str]) -> str:
    command = ["buildah", "inspect", "--type", "image", NAME]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return str(json.loads(said)["FromImageID"])


@pytest.mark.needs("root", "image", "buildah", "skopeo", "kubectl")
def test_what_is_packed_is_unpacked(built: Built, tmp_path: Path) -> None:
    """Command by command, but for the build, which other tests follow: the same image, and manifests that name it."""
    outside, inside = FOLLOWED.findall(PAGE.read_text())
    build, _, pack = outside.partition("\n")
    assert build == f"buildah bud -t headroom-agent:{__version__} ."
    built.buildah("tag", building.tag("pull"), NAME)
    here, there = side(tmp_path / "here", built.place / "storage/root"), side(tmp_path / "there")
    carried = tmp_path / "carried"
    carried.mkdir()
    (carried / "manifests").symlink_to(lock.REPOSITORY / "manifests")
    follow(pack, here, carried)
    (carried / "manifests").unlink()
    follow(inside, there, carried)
    assert image_id(there) == image_id(here)
    assert f"image: headroom-agent:{__version__}\n" in (carried / "headroom.yaml").read_text()


@pytest.mark.needs("root", "image", "buildah", "skopeo", "kubectl")
def test_what_was_changed_on_the_way_is_noticed(built: Built, tmp_path: Path) -> None:
    """The check sums say so before anything is unpacked."""
    _, inside = FOLLOWED.findall(PAGE.read_text())
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  headroom-agent-{__version__}.tar\n")
    (tmp_path / f"headroom-agent-{__version__}.tar").write_bytes(b"something else")
    with pytest.raises(AssertionError, match="did NOT match"):
        follow(inside, side(tmp_path / "there"), tmp_path)


def test_the_page_names_the_wheels_that_tests_fetch() -> None:
    """The same Python, platforms and locks, word by word, and the base that the Dockerfile has."""
    text = PAGE.read_text()
    words = [
        f"--python-version={ingredients.PYTHON}",
        *(f"--platform={name}_aarch64" for name in ingredients.PLATFORMS),
    ]
    words += ["--require-hashes", "--only-binary=:all:", "-r requirements/build.txt", "-r requirements/full.txt"]
    assert [word for word in words if word not in text] == []
    assert f"docker://{ingredients.base()}" in text
