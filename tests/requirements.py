"""What a test may need of the machine: ``@pytest.mark.needs("netns", "prometheus")``.

Each requirement has a probe that says what is missing. Some are facts of a machine (who we are, what the kernel lets us
do); others can be had, and a run that must be complete may not miss those (tests/conftest.py).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache, partial
from typing import Final, NamedTuple

from tests.image import ingredients
from tests.node_vm import build
from tests.tools import peers


class Requirement(NamedTuple):
    """``lack`` says what is missing here, or nothing; ``obtainable`` whether ``make test`` should have got it."""

    lack: Callable[[], str]
    obtainable: Callable[[], bool]


@cache
def lack(name: str) -> str:
    """Why this machine cannot run a test that needs ``name``; empty when it can."""
    return REQUIREMENTS[name].lack()


def obtainable(name: str) -> bool:
    return REQUIREMENTS[name].obtainable()


def _root() -> str:
    return "" if os.geteuid() == 0 else "the user is not root"


def _namespaces() -> str:
    """Network, UTS and mount namespaces of one's own."""
    done = subprocess.run(["unshare", "--net", "--uts", "--mount", "true"], capture_output=True, text=True, check=False)
    return done.stderr.strip()


def _cgroup_v1(controller: str) -> str:
    try:
        os.rmdir(tempfile.mkdtemp(prefix="headroom-", dir=f"/sys/fs/cgroup/{controller}"))
    except OSError as error:
        return f"no cgroup can be made in /sys/fs/cgroup/{controller}: {error.strerror}"
    return ""


def _loop() -> str:
    """Loopback devices, which a small filesystem of one's own is mounted from."""
    done = subprocess.run(["losetup", "--find"], capture_output=True, text=True, check=False)
    return done.stderr.strip()


def _peer(name: str) -> str:
    return "" if peers.path(name) else "not fetched; `make test` does it on Debian"


def _built(name: str) -> str:
    return "" if peers.path(name) else "not built; `make test` does it where go is installed"


def _tool(name: str) -> str:
    return "" if shutil.which(name) else f"not installed (Debian's package {peers.TOOLS[name]})"


def _node_vm() -> str:
    return "" if build.path() else "not built; `make test` does it for root on Debian on x86-64"


def _image() -> str:
    return "" if ingredients.path() else "not fetched; `make test` does it for root on Debian on x86-64"


def _is_root() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _never() -> bool:
    return False


REQUIREMENTS: Final[dict[str, Requirement]] = {
    "root": Requirement(_root, _never),
    "netns": Requirement(_namespaces, _never),
    "loop": Requirement(_loop, _never),
    "cgroup-v1-memory": Requirement(partial(_cgroup_v1, "memory"), _never),
    "node-vm": Requirement(_node_vm, build.possible),
    "image": Requirement(_image, ingredients.possible),
    **{name: Requirement(partial(_peer, name), peers.on_debian) for name in peers.PEERS},
    **{name: Requirement(partial(_built, name), peers.can_build) for name in peers.BUILT},
    **{name: Requirement(partial(_tool, name), _is_root) for name in peers.TOOLS},
}
