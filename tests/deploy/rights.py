"""Runs a module of ours as a user with some capabilities, as a pod of such a user would be run: ``unshare ... python3
-m tests.deploy.rights SCRATCH PLACE USER CAPABILITIES MODULE ...``.

A small filesystem is mounted on each ``mounted`` directory below PLACE. Mounts end with the namespace.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.peers.pod import MS_NOSUID, enter, mount


def main(scratch: str, place: str, user: str, capabilities: str, *arguments: str) -> None:
    for closed in sorted(Path(place).iterdir()):
        mount("tmpfs", f"{closed}/mounted", "tmpfs", MS_NOSUID)
    enter(scratch, "rights")
    python = f"{scratch}/python/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": f"{scratch}/src:{scratch}/packages",
        "LD_LIBRARY_PATH": f"{scratch}/python/lib",
    }
    who = ("--reuid", user, "--regid", user, "--clear-groups")
    in_a_pod = ("--no-new-privs", "--inh-caps=-all", f"--bounding-set={capabilities}")
    os.chdir("/")
    os.execvpe("setpriv", ("setpriv", *who, *in_a_pod, python, "-m", *arguments), environment)


if __name__ == "__main__":
    main(*sys.argv[1:])
