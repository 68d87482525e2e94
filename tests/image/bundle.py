"""A container of a pod as a bundle for runc: what the kubelet and containerd make of the same specification.

``oomScoreAdj`` is left alone, since lowering it takes a capability that a container host may lack; the pod's own cgroup
has no limits, only the container's; and there is no pause container, as the network namespace is one with a name.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.image.fields import SpecError
from tests.image.pod import ALL, Container, File, Mount, Pod, Volume
from tests.image.seccomp import runtime_default

PERIOD_US: Final = 100_000
PROPAGATION: Final = {"None": "rprivate", "HostToContainer": "rslave"}
NAMESPACES: Final = ("pid", "ipc", "uts", "mount")
MASKED: Final = ("acpi", "asound", "kcore", "keys", "latency_stats", "timer_list", "timer_stats", "sched_debug", "scsi")
READ_ONLY: Final = ("bus", "fs", "irq", "sys", "sysrq-trigger")
DEVICE: Final = ("nosuid", "noexec", "nodev")
MOUNTS: Final = (
    ("/proc", "proc", "proc", DEVICE),
    ("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
    ("/dev/pts", "devpts", "devpts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")),
    ("/dev/shm", "tmpfs", "shm", (*DEVICE, "mode=1777", "size=65536k")),
    ("/dev/mqueue", "mqueue", "mqueue", DEVICE),
    ("/sys", "sysfs", "sysfs", (*DEVICE, "ro")),
    ("/sys/fs/cgroup", "cgroup", "cgroup", (*DEVICE, "relatime", "ro")),
)
# What the kubelet tells every container, whatever the pod says of Services.
API_SERVER: Final = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


class Image(NamedTuple):
    """What an image says of how to run it."""

    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    environment: tuple[str, ...]
    uid: int
    gid: int


class Node(NamedTuple):
    """What a node and its API server add to a pod: ``files`` are the contents, by source, name and key."""

    name: str
    address: str
    unified: bool
    files: Mapping[tuple[str, str, str], bytes]


class Place(NamedTuple):
    """Whose container it is, its cgroup as runc spells it, and where the node has what was written, and the image."""

    namespace: str
    pod: str
    uid: str
    container_id: str
    cgroup: str
    directory: str
    rootfs: str

    @property
    def network(self) -> str:
        """Of the pod: its containers share it."""
        return f"headroom-{self.uid[:13]}"

    def before(self, number: int) -> Place:
        """The place of a container that runs before this one: beside it."""
        own = hashlib.sha256(f"{self.container_id}/{number}".encode()).hexdigest()
        return self._replace(container_id=own, cgroup=self.cgroup.replace(self.container_id, own))


def write(to: Path, pod: Pod, image: Image, node: Node, place: Place) -> None:
    """Writes the pod's volumes, and a bundle for each container in a directory of its name. Raises SpecError."""
    if len(pod.containers) != 1:
        raise SpecError(f"{len(pod.containers)} containers: after those that run first, one alone can be run here")
    used = {mount.volume for container in (*pod.init, *pod.containers) for mount in container.mounts}
    for name in sorted(used):
        _write_volume(to / "volumes" / name, pod.volumes[name], node, pod.containers[0])
    (to / "etc").mkdir()
    (to / "etc/hosts").write_text(f"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {place.pod}\n")
    (to / "etc/hostname").write_text(f"{place.pod}\n")
    (to / "etc/resolv.conf").write_text("")
    for number, container in enumerate(pod.init):
        _write_bundle(to / container.name, pod, container, image, node, place.before(number))
    _write_bundle(to / pod.containers[0].name, pod, pod.containers[0], image, node, place)


def _write_bundle(to: Path, pod: Pod, container: Container, image: Image, node: Node, place: Place) -> None:
    to.mkdir()
    host = [pod.volumes[mount.volume].host for mount in container.mounts if pod.volumes[mount.volume].host]
    probes = {
        name: {**probe._asdict(), "port": _port(probe.port, container)} for name, probe in container.probes.items()
    }
    facts = {"id": place.container_id, "network": place.network, "host": host, "probes": probes, "grace_s": pod.grace_s}
    (to / "node.json").write_text(json.dumps(facts, indent=1))
    (to / "config.json").write_text(json.dumps(_config(pod, container, image, node, place), indent=1))


def environment(pod: Pod, container: Container, image: Image, node: Node, place: Place) -> dict[str, str]:
    """The image's, the kubelet's and the container's own variables; a later one may name an earlier one."""
    fields = {
        "spec.nodeName": node.name,
        "status.hostIP": node.address,
        "status.podIP": "127.0.0.1",
        "metadata.name": place.pod,
        "metadata.namespace": place.namespace,
        "metadata.uid": place.uid,
    }
    made = {**API_SERVER, "HOSTNAME": place.pod}
    own: dict[str, str] = {}
    for variable in container.environment:
        if variable.field and variable.field not in fields:
            raise SpecError(f"env {variable.name}: fieldPath {variable.field} is not known here")
        own[variable.name] = fields[variable.field] if variable.field else expand(variable.value, {**made, **own})
    return {**dict(entry.split("=", 1) for entry in image.environment), **made, **own}


def expand(text: str, variables: Mapping[str, str]) -> str:
    """``$(NAME)`` by its value; ``$$`` is a dollar, and a name that is not there stays as it is."""

    def value(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else variables.get(found[1], found[0])

    return re.sub(r"\$\$|\$\(([-._a-zA-Z0-9]+)\)", value, text)


def _port(port: int | str, container: Container) -> int:
    if isinstance(port, int):
        return port
    if port not in container.ports:
        raise SpecError(f"{container.name}: no port is called {port}")
    return container.ports[port]


def _write_volume(to: Path, volume: Volume, node: Node, container: Container) -> None:
    """As the kubelet does it: a token is for its pod's user to read, and for nobody else."""
    if volume.host:
        return
    to.mkdir(parents=True)
    to.chmod(0o755 if volume.files else 0o777)
    for file in volume.files:
        for name, content in _contents(file, node):
            path = to / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            os.chmod(path, 0o600 if file.source == "token" else file.mode)
            if file.source == "token" and container.rights.uid is not None:
                os.chown(path, container.rights.uid, -1)


def _contents(file: File, node: Node) -> list[tuple[str, bytes]]:
    """Names below the volume, and what is in them."""
    found = [
        (file.path or key, content)
        for (source, name, key), content in node.files.items()
        if (source, name) == (file.source, file.name) and file.key in (key, ALL)
    ]
    if not found:
        raise SpecError(f"this node has no {file.source} {file.name} with {file.key}")
    return found


def _config(pod: Pod, container: Container, image: Image, node: Node, place: Place) -> dict[str, Any]:
    rights, variables = container.rights, environment(pod, container, image, node, place)
    uid, gid = (image.uid if rights.uid is None else rights.uid, image.gid if rights.gid is None else rights.gid)
    if rights.non_root and uid == 0:
        raise SpecError(f"{container.name}: runAsNonRoot, but it would run as root")
    arguments = container.arguments or (() if container.command else image.command)
    command = [expand(word, variables) for word in (*(container.command or image.entrypoint), *arguments)]
    capabilities = list(rights.capabilities or ())
    return {
        "ociVersion": "1.0.2",
        "process": {
            "args": command,
            "cwd": "/",
            "env": [f"{name}={value}" for name, value in variables.items()],
            "user": {"uid": uid, "gid": gid, "additionalGids": list(rights.groups)},
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities),
            "noNewPrivileges": rights.no_new_privileges,
        },
        "root": {"path": place.rootfs, "readonly": rights.read_only_root},
        "hostname": place.pod,
        "mounts": list(_mounts(pod, container, place)),
        "linux": {
            "cgroupsPath": place.cgroup,
            "resources": _resources(container),
            "namespaces": [
                *({"type": kind} for kind in (*NAMESPACES, *(("cgroup",) if node.unified else ()))),
                {"type": "network", "path": f"/run/netns/{place.network}"},
            ],
            "maskedPaths": [*(f"/proc/{name}" for name in MASKED), "/sys/firmware"],
            "readonlyPaths": [f"/proc/{name}" for name in READ_ONLY],
            **({"seccomp": runtime_default(capabilities)} if rights.seccomp else {}),
        },
    }


def _mounts(pod: Pod, container: Container, place: Place) -> Iterator[dict[str, Any]]:
    for destination, kind, source, options in MOUNTS:
        yield {"destination": destination, "type": kind, "source": source, "options": list(options)}
    for name in ("hosts", "hostname", "resolv.conf"):
        mount = Mount("", f"/etc/{name}", container.rights.read_only_root, "None")
        yield _bind(f"{place.directory}/etc/{name}", mount)
    for mount in container.mounts:
        host = pod.volumes[mount.volume].host
        yield _bind(host[0] if host else f"{place.directory}/volumes/{mount.volume}", mount)


def _bind(source: str, mount: Mount) -> dict[str, Any]:
    """Read-only is what is mounted there, not what is mounted below it: so it is in Kubernetes, too."""
    if mount.propagation not in PROPAGATION:
        raise SpecError(f"{mount.path}: mountPropagation {mount.propagation} is not known here")
    options = ["rbind", PROPAGATION[mount.propagation], "ro" if mount.read_only else "rw"]
    return {"destination": mount.path, "type": "bind", "source": source, "options": options}


def _resources(container: Container) -> dict[str, Any]:
    """As the kubelet reckons them: a thousandth of a core is 1.024 shares, at least 2, and 100 us in each period."""
    limits = container.limits
    made: dict[str, Any] = {"devices": [{"allow": False, "access": "rwm"}]}
    if limits.memory_bytes is not None:
        made["memory"] = {"limit": limits.memory_bytes}
    cpu: dict[str, int] = {"shares": max(2, (limits.shares_millicores or 0) * 1024 // 1000)}
    if limits.millicores is not None:
        cpu |= {"quota": limits.millicores * PERIOD_US // 1000, "period": PERIOD_US}
    return {**made, "cpu": cpu}
