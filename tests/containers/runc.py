"""Real containers on this machine's cgroup v1 hierarchy, laid out as the kubelet does with the cgroupfs driver.

Everything is below one cgroup of each controller, ``/headroom-test-<pid>``, and one temporary directory, and goes with
them. A container's root is this machine's ``/usr``, read-only: no image is needed. ``oomScoreAdj`` is left alone, since
lowering it takes a capability that a container host may lack.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

CGROUPS: Final = Path("/sys/fs/cgroup")
RUNC_S: Final = 20.0
GONE_S: Final = 5.0
PREFIX: Final = "headroom-test-"
MERGED: Final = ("bin", "lib", "lib64", "sbin")
TIERS: Final = ("burstable", "besteffort")  # the kubelet makes these when it starts; pods without a tier are guaranteed
PERIOD_US: Final = 100_000


class Workload(NamedTuple):
    """What a container does, and its limits."""

    script: str
    memory_bytes: int | None = None
    quota_us: int | None = None


class Slot(NamedTuple):
    """Where a container is: the same slot again is the same path, and another cgroup."""

    pod_uid: str
    container_id: str
    qos: str = "burstable"

    @property
    def pod(self) -> str:
        tier = "" if self.qos == "guaranteed" else f"/{self.qos}"
        return f"/kubepods{tier}/pod{self.pod_uid}"

    @property
    def cgroup(self) -> str:
        return f"{self.pod}/{self.container_id}"


class Runc:
    """The containers of one test. ``with`` removes whatever there still is."""

    def __init__(self) -> None:
        self.root = f"/{PREFIX}{os.getpid()}"
        self._place = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._started: set[Slot] = set()
        self.controllers = tuple(sorted(_controllers()))

    def __enter__(self) -> Self:
        for controller in self.controllers:
            _remove_leftovers(f"{CGROUPS}/{controller}")
            for tier in TIERS:
                os.makedirs(f"{CGROUPS}/{controller}{self.root}/kubepods/{tier}", exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        for slot in list(self._started):
            self.remove(slot)
        for controller in self.controllers:
            _remove_tree(f"{CGROUPS}/{controller}{self.root}")
        shutil.rmtree(self._place)

    def start(self, slot: Slot, workload: Workload) -> None:
        """Returns when its first process runs."""
        bundle = self._place / slot.container_id
        shutil.rmtree(bundle, ignore_errors=True)
        _make_root(bundle / "rootfs")
        (bundle / "config.json").write_text(json.dumps(_config(self.path(slot), workload)))
        self._started.add(slot)
        self._run("run", "--detach", "--bundle", str(bundle), slot.container_id)

    def remove(self, slot: Slot) -> None:
        """Returns when its cgroups are gone in every controller."""
        self._run("delete", "--force", slot.container_id)
        self._started.discard(slot)
        assert not any(os.path.exists(directory) for directory in self.directories(slot))

    def remove_pod(self, slot: Slot) -> None:
        """Removes the pod's own cgroup, which is empty by now."""
        for controller in self.controllers:
            _remove_tree(f"{CGROUPS}/{controller}{self.root}{slot.pod}")

    def path(self, slot: Slot) -> str:
        """cAdvisor's label ``id``."""
        return self.root + slot.cgroup

    def directories(self, slot: Slot) -> list[str]:
        return [f"{CGROUPS}/{controller}{self.path(slot)}" for controller in self.controllers]

    def pid(self, slot: Slot) -> int:
        """The container's first process."""
        return int(json.loads(self._run("state", slot.container_id))["pid"])

    def _run(self, command: str, *arguments: str) -> str:
        """runc's stdio is not a pipe: the container inherits it and would keep it open."""
        with tempfile.TemporaryFile(dir=self._place) as out, tempfile.TemporaryFile(dir=self._place) as err:
            done = subprocess.run(
                ["runc", "--root", str(self._place / "state"), command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                timeout=RUNC_S,
                check=False,
            )
            out.seek(0)
            err.seek(0)
            assert done.returncode == 0, (command, arguments, err.read().decode())
            return out.read().decode()


def _controllers() -> Iterator[str]:
    """Every hierarchy that is mounted here, those without controllers too: runc makes its cgroup in each."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        mount = fields.split()[4]
        if rest.startswith(("cgroup ", "cgroup2 ")) and os.path.dirname(mount) == str(CGROUPS):
            yield os.path.basename(mount)


def _config(cgroup: str, workload: Workload) -> Mapping[str, Any]:
    """The bundle's config.json, as much of it as a container needs."""
    resources: dict[str, Any] = {"devices": [{"allow": False, "access": "rwm"}]}
    if workload.memory_bytes is not None:
        resources["memory"] = {"limit": workload.memory_bytes}
    if workload.quota_us is not None:
        resources["cpu"] = {"quota": workload.quota_us, "period": PERIOD_US}
    environment = ["PATH=/usr/bin:/bin"]
    command = ["/bin/sh", "-c", workload.script]
    return {
        "ociVersion": "1.0.2",
        "process": {"args": command, "cwd": "/", "env": environment, "user": {"uid": 0, "gid": 0}},
        "root": {"path": "rootfs", "readonly": True},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]},
        ],
        "linux": {
            "cgroupsPath": cgroup,
            "resources": resources,
            "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "network")],
        },
    }


def _make_root(rootfs: Path) -> None:
    for name in ("dev", "proc", "usr"):
        (rootfs / name).mkdir(parents=True)
    for name in MERGED:
        if os.path.islink(f"/{name}"):
            (rootfs / name).symlink_to(f"usr/{name}")


def _remove_leftovers(controller: str) -> None:
    """The cgroups of runs that were killed."""
    for name in os.listdir(controller):
        pid = name.removeprefix(PREFIX)
        if name.startswith(PREFIX) and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            _remove_tree(f"{controller}/{name}")


def _remove_tree(directory: str) -> None:
    """Removes a cgroup and those below it, with their processes. A process leaves its cgroup a moment after its end."""
    for folder, _, _ in os.walk(directory, topdown=False):
        for _ in range(int(GONE_S / 0.02)):
            try:
                os.rmdir(folder)
                break
            except FileNotFoundError:
                break
            except OSError:
                _kill(folder)
                threading.Event().wait(0.02)
        else:
            raise AssertionError(f"{folder} cannot be removed")


def _kill(cgroup: str) -> None:
    for pid in Path(cgroup, "cgroup.procs").read_text().split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            pass
