"""Real pods without a kubelet: slices, cgroups and networks as the kubelet, containerd and a CNI plugin make them.

In the guest: ``python3 pods.py up POD...`` and ``down POD...``, or POD/CONTAINER for one of a pod's containers. On the
host it is imported for what the pods are. Under systemd runc puts a container's processes in its scope, crun in a
cgroup below that; both are here.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

MIB: Final = 1 << 20
PERIOD_US: Final = 100_000
IMAGE: Final = Path("/opt/image")
STATE: Final = Path("/var/lib/pods")
UNITS: Final = Path("/run/systemd/system")
APPLETS: Final = ("cat", "dd", "ping", "sh", "sleep", "tail", "true")
PAUSE: Final = "pause"  # the sandbox's container has no name in Kubernetes


class Container(NamedTuple):
    name: str
    script: str
    memory_mib: int | None = None
    quota_us: int | None = None
    whole_oom: bool = False  # an OOM kill takes all of it, as the kubelet has it since 1.28


class Pod(NamedTuple):
    """``settings`` are those of its slice."""

    name: str
    uid: str
    qos: str
    settings: str
    containers: tuple[Container, ...]
    runtime: str = "crun"

    @property
    def slice(self) -> str:
        tier = "" if self.qos == "guaranteed" else f"-{self.qos}"
        return f"kubepods{tier}-pod{self.uid.replace('-', '_')}.slice"

    @property
    def cgroup(self) -> str:
        tier = "" if self.qos == "guaranteed" else f"/kubepods-{self.qos}.slice"
        return f"/kubepods.slice{tier}/{self.slice}"

    def container_id(self, name: str) -> str:
        return hashlib.sha256(f"{self.uid}/{name}".encode()).hexdigest()

    def container_cgroup(self, name: str) -> str:
        return f"{self.cgroup}/cri-containerd-{self.container_id(name)}.scope"

    def names(self) -> list[str]:
        return [PAUSE, *(container.name for container in self.containers)]


BUSY = "while :; do :; done & while :; do dd if=/dev/zero of=/data/f bs=256k count=64 conv=fsync; cat /data/f; done"
WRITER = "dd if=/dev/zero of=/data/g bs=1M count=40; while :; do cat /data/g; done"
DOOMED = "until [ -e /data/now ]; do sleep 1; done; tail /dev/zero; sleep 1000"
PODS: Final = (
    Pod(
        "busy",
        "11111111-aaaa-4bbb-8ccc-000000000001",
        "burstable",
        f"MemoryMax={256 * MIB}\nCPUWeight=10\nCPUQuota=60%\n",
        (
            Container("load", BUSY, memory_mib=192, quota_us=40_000),
            Container("side", "while :; do echo tick; sleep 1; done", memory_mib=64),
        ),
    ),
    Pod(
        "starved",
        "22222222-aaaa-4bbb-8ccc-000000000002",
        "burstable",
        f"MemoryMax={128 * MIB}\nCPUWeight=4\n",
        (
            Container("oomy", "while :; do tail /dev/zero; sleep 5; done", memory_mib=24),
            Container("press", WRITER, memory_mib=20),
            Container("doomed", DOOMED, memory_mib=16, whole_oom=True),
        ),
    ),
    Pod(
        "steady",
        "33333333-aaaa-4bbb-8ccc-000000000003",
        "guaranteed",
        f"MemoryMax={96 * MIB}\nCPUWeight=20\nCPUQuota=50%\nTasksMax=200\n",
        (Container("steady", "while :; do sleep 0.2; done", memory_mib=96, quota_us=50_000),),
        runtime="runc",
    ),
    Pod(
        "idle",
        "44444444-aaaa-4bbb-8ccc-000000000004",
        "besteffort",
        "CPUWeight=1\n",
        (Container("idle", "while :; do ping -c 5 -i 0.2 10.244.0.1; sleep 1; done"),),
    ),
)
BRIEF: Final = Pod(
    "brief",
    "55555555-aaaa-4bbb-8ccc-000000000005",
    "burstable",
    f"MemoryMax={64 * MIB}\n",
    (Container("leaves", "sleep 1000"), Container("stays", "sleep 1000")),
)
BY_NAME: Final = {pod.name: pod for pod in (*PODS, BRIEF)}


def up(pod: Pod) -> None:
    """Starts a pod's slice, its network and its containers."""
    _unit(pod.slice, pod.settings)
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    subprocess.run(["systemctl", "start", pod.slice], check=True)
    _network(pod)
    _start(pod, Container(PAUSE, "sleep 100000"))
    for container in pod.containers:
        _start(pod, container)


def down(pod: Pod) -> None:
    """Removes all of it that there is; returns when its cgroups are gone."""
    for name in pod.names():
        if (STATE / pod.container_id(name)).exists():
            remove(pod, name)
    subprocess.run(["systemctl", "stop", pod.slice], check=True)
    subprocess.run(["ip", "netns", "delete", pod.name], check=True)


def remove(pod: Pod, name: str) -> None:
    """Removes a container, whether it still runs or not."""
    container_id = pod.container_id(name)
    subprocess.run([pod.runtime, "delete", "--force", container_id], check=True)
    subprocess.run(["umount", str(STATE / container_id / "root")], check=True)
    shutil.rmtree(STATE / container_id)


def _start(pod: Pod, container: Container) -> None:
    container_id = pod.container_id(container.name)
    bundle = STATE / container_id
    _image()
    for name in ("upper", "work", "root"):
        (bundle / name).mkdir(parents=True)
    layers = f"lowerdir={IMAGE},upperdir={bundle}/upper,workdir={bundle}/work"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(bundle / "root")], check=True)
    (bundle / "config.json").write_text(json.dumps(_config(pod, container)))
    command = [pod.runtime, "--systemd-cgroup", "run", "--detach", "--bundle", str(bundle), container_id]
    quiet = subprocess.DEVNULL  # the container has them too, and nobody reads what it says
    with open(bundle / "stderr", "wb") as stderr:
        code = subprocess.run(command, stdin=quiet, stdout=quiet, stderr=stderr, check=False).returncode
    if code:
        sys.exit(f"{pod.name}/{container.name}: {(bundle / 'stderr').read_text()}")
    if container.whole_oom:
        Path(f"/sys/fs/cgroup{pod.container_cgroup(container.name)}/memory.oom.group").write_text("1")


def _config(pod: Pod, container: Container) -> dict[str, Any]:
    """The bundle's config.json, as much of it as a container needs."""
    resources: dict[str, Any] = {}
    if container.memory_mib is not None:
        resources["memory"] = {"limit": container.memory_mib * MIB}
    if container.quota_us is not None:
        resources["cpu"] = {"quota": container.quota_us, "period": PERIOD_US}
    script = f"exec >/dev/null 2>&1; {container.script}"
    return {
        "ociVersion": "1.0.2",
        "process": {"args": ["/bin/sh", "-c", script], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}}
        | {"capabilities": {kind: ["CAP_NET_RAW"] for kind in ("bounding", "effective", "permitted")}},
        "root": {"path": "root"},
        "hostname": container.name,
        "mounts": list(_mounts()),
        "linux": {
            "cgroupsPath": f"{pod.slice}:cri-containerd:{pod.container_id(container.name)}",
            "resources": resources,
            "namespaces": [
                *({"type": kind} for kind in ("pid", "ipc", "uts", "mount", "cgroup")),
                {"type": "network", "path": f"/run/netns/{pod.name}"},
            ],
        },
    }


def _mounts() -> Iterator[dict[str, Any]]:
    yield {"destination": "/proc", "type": "proc", "source": "proc"}
    yield {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}
    yield {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}
    yield {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]}


def _image() -> None:
    """The lowest layer of every container: one static program."""
    if (IMAGE / "bin/busybox").exists():
        return
    for name in ("bin", "data", "dev", "proc", "sys"):
        (IMAGE / name).mkdir(parents=True, exist_ok=True)
    for applet in APPLETS:
        (IMAGE / "bin" / applet).symlink_to("busybox")
    (IMAGE / "bin/busybox").write_bytes(Path("/usr/bin/busybox").read_bytes())
    (IMAGE / "bin/busybox").chmod(0o755)


def _network(pod: Pod) -> None:
    """A namespace with one end of a pair of devices; the other end is on the node's bridge."""
    if not Path("/sys/class/net/cni0").exists():
        _ip("link add cni0 type bridge", "addr add 10.244.0.1/24 dev cni0", "link set cni0 up")
    number = list(BY_NAME).index(pod.name) + 2
    veth = f"veth{number}"
    _ip(
        f"netns add {pod.name}",
        f"link add {veth} type veth peer name eth0 netns {pod.name}",
        f"link set {veth} master cni0 up",
        f"-n {pod.name} addr add 10.244.0.{number}/24 dev eth0",
        f"-n {pod.name} link set eth0 up",
        f"-n {pod.name} link set lo up",
    )


def _ip(*commands: str) -> None:
    for command in commands:
        subprocess.run(["ip", *command.split()], check=True)


def _unit(name: str, settings: str) -> None:
    accounting = "".join(f"{what}Accounting=yes\n" for what in ("CPU", "Memory", "IO", "Tasks"))
    UNITS.mkdir(parents=True, exist_ok=True)
    (UNITS / name).write_text(f"[Unit]\nDefaultDependencies=no\n[Slice]\n{accounting}{settings}")


def main(command: str, *names: str) -> None:
    _unit("kubepods.slice", f"MemoryMax={800 * MIB}\nCPUWeight=79\n")
    _unit("kubepods-burstable.slice", "CPUWeight=20\n")
    _unit("kubepods-besteffort.slice", "CPUWeight=1\n")
    os.chdir("/")
    for name in names:
        pod, container = BY_NAME[name.partition("/")[0]], name.partition("/")[2]
        if not container:
            {"up": up, "down": down}[command](pod)
        elif command == "down":
            remove(pod, container)
        else:
            _start(pod, next(one for one in pod.containers if one.name == container))


if __name__ == "__main__":
    main(*sys.argv[1:])
