"""The image, built of this working tree by the Dockerfile as it is, without network, in a storage that goes with it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.image import ingredients
from tests.image.bundle import Image
from tests.tools import lock

SETS: Final = ("full", "pull")
CONTEXT: Final = ("Dockerfile", ".dockerignore", "LICENSE", "README.md", "agent", "pyproject.toml", "requirements")
OFFLINE: Final = ("--pull-never", "--network", "none", "--isolation", "oci", "--runtime", "runc")


class Size(NamedTuple):
    """Bytes of an image: its files, and its layers as a registry keeps and a node pulls them."""

    files: int
    gzip: int
    zstd: int


class Built:
    """The images of one run, by the name of their set. ``context`` is what they were built from."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.context = place / "context"
        self._rootfs: dict[str, Path] = {}

    def buildah(self, *command: str) -> str:
        shared = ingredients.path()
        assert shared is not None, "the test says that it needs image"
        return ingredients.buildah(self.place / "storage", *command, shared=shared / "storage")

    def build(self, tag: str, *options: str) -> None:
        """Raises PeerError."""
        self.buildah("bud", *OFFLINE, "--layers=false", "--tag", tag, *options, str(self.context))

    def rootfs(self, of: str) -> Path:
        """A directory with the image's files, which nobody changes."""
        if of not in self._rootfs:
            container = self.buildah("from", "--pull-never", tag(of)).strip()
            self._rootfs[of] = Path(self.buildah("mount", container).strip())
        return self._rootfs[of]

    def image(self, of: str) -> Image:
        """What it says of how to run it."""
        config = json.loads(self.buildah("inspect", "--type", "image", tag(of)))["OCIv1"]["config"]
        uid, _, gid = config["User"].partition(":")
        words = (tuple(config[name]) for name in ("Entrypoint", "Cmd", "Env"))
        return Image(*words, int(uid), int(gid))

    def layers(self, of: str, compression: str) -> int:
        """How large its layers are together."""
        to = self.place / f"{of}-{compression}"
        self.buildah("push", "--quiet", "--compression-format", compression, tag(of), f"oci:{to}:{of}")
        return sum(layer["size"] for layer in manifest(to)["layers"])

    def size(self, of: str) -> Size:
        root = self.rootfs(of)
        files = sum(file.lstat().st_size for file in root.rglob("*") if file.is_file() and not file.is_symlink())
        return Size(files, self.layers(of, "gzip"), self.layers(of, "zstd"))


def tag(of: str) -> str:
    """The image's name and tag, as the Dockerfile's head has them."""
    return f"headroom-agent:{of}"


def manifest(layout: Path) -> dict[str, Any]:
    """The one manifest of an OCI layout."""
    (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
    return dict(json.loads((layout / "blobs" / entry["digest"].replace(":", "/")).read_text()))


@contextmanager
def built(sets: Sequence[str] = SETS) -> Iterator[Built]:
    """Builds these; everything goes at the end. Raises PeerError."""
    fetched = ingredients.path()
    assert fetched is not None, "the test says that it needs image"
    place = Path(tempfile.mkdtemp(prefix="headroom-image-"))
    place.chmod(0o755)  # who runs in it is not root
    try:
        made = Built(place)
        copy_context(made.context, fetched / "wheels" / "x86_64")
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda one: made.build(tag(one), "--build-arg", f"SET={one}"), sets))
        yield made
    finally:
        shutil.rmtree(place)


def copy_context(to: Path, wheels: Path) -> None:
    """The working tree's part of a build, with wheels to build it from."""
    to.mkdir()
    for name in CONTEXT:
        source = lock.REPOSITORY / name
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, to / name, ignore=ignored) if source.is_dir() else shutil.copy2(source, to / name)
    shutil.copytree(wheels, to / "wheels")
