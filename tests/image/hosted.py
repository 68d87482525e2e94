"""A rendered pod on this machine: below a cgroup that looks like a kubelet's, with a kubelet in its network to ask."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from tests.containers.runc import Runc, Slot
from tests.image import bundle
from tests.image.building import Built
from tests.image.bundle import Node, Place
from tests.image.pod import Pod
from tests.image.sandbox import Sandbox
from tests.kubelet import scripted
from tests.kubelet.bodies import body
from tests.kubelet.scripted import ScriptedKubelet, server_context

NAMESPACE: Final = "headroom"
NAME: Final = "headroom-agent-x7k2p"
NODE_NAME: Final = os.uname().nodename
ADDRESS: Final = "127.0.0.1"  # of the node: its kubelet is in the pod's own network, where nobody else is disturbed
KUBELET_PORT: Final = 10250
METRICS_PORT: Final = 9910
TOKEN: Final = b"the-token-of-the-test"


class Hosted(NamedTuple):
    """A pod's container, those that run before it, its kubelet, and the cgroups that it is in."""

    sandbox: Sandbox
    first: list[Sandbox]
    kubelet: ScriptedKubelet
    slot: Slot
    runc: Runc

    def start(self) -> None:
        """Runs those that come first, one after another, and returns when the container runs. Raises SandboxError."""
        for one in self.first:
            one.run()
        self.sandbox.up()

    def get(self, path: str, accept: str = "") -> bytes:
        """The body of a 200."""
        status, body = self.sandbox.get(path, METRICS_PORT)
        assert status == 200, (path, status, body)
        return body.encode()


class Host:
    """This machine as a node, for one module of tests. ``with`` removes its cgroups at the end."""

    def __init__(self, built: Built, certificates: Path) -> None:
        self._built = built
        self._certificates = certificates
        self._runc = Runc()

    def __enter__(self) -> Self:
        self._runc.__enter__()
        return self

    def __exit__(self, *failure: object) -> None:
        self._runc.__exit__(*failure)

    @contextmanager
    def pod(self, pod: Pod, of: str = "full", change: Callable[[Path], None] | None = None) -> Iterator[Hosted]:
        """Everything is there for the pod, which the test starts; ``change`` is to what was written."""
        slot = Slot(str(uuid.uuid4()), os.urandom(32).hex())
        place = Path(tempfile.mkdtemp(prefix="headroom-bundle-"))
        place.chmod(0o755)
        rootfs = place / "rootfs"  # its own: a runtime makes directories in it, to mount on
        subprocess.run(["cp", "-al", str(self._built.rootfs(of)), str(rootfs)], check=True)
        where = Place(NAMESPACE, NAME, slot.pod_uid, slot.container_id, self._runc.path(slot), str(place), str(rootfs))
        bundle.write(place, pod, self._built.image(of), node(self._certificates), where)
        if change:
            change(place)
        first = [Sandbox(place / container.name) for container in pod.init]
        sandbox, kubelet = Sandbox(place / pod.containers[0].name), None
        try:
            sandbox.network()
            kubelet = sandbox.inside(self._kubelet)
            kubelet.script["/pods"] = scripted.says(200, json.dumps(pods(pod, slot)).encode())
            kubelet.script["/configz"] = scripted.says(200, json.dumps(configz(self._runc.root)).encode())
            yield Hosted(sandbox, first, kubelet, slot, self._runc)
        finally:
            sandbox.down()
            if kubelet:
                kubelet.stop()
            shutil.rmtree(place)

    def _kubelet(self) -> ScriptedKubelet:
        return ScriptedKubelet(server_context(self._certificates, "signed"), ADDRESS, KUBELET_PORT)


def node(certificates: Path) -> Node:
    """This machine as a node: what its kubelet and its API server give to a pod."""
    ca = (certificates / "ca.pem").read_bytes()
    files = {("token", "", "token"): TOKEN, ("configMap", "kube-root-ca.crt", "ca.crt"): ca}
    return Node(NODE_NAME, ADDRESS, False, files)


def configz(cgroup_root: str) -> dict[str, Any]:
    """The kubelet's /configz, as recorded, but for where its pods are."""
    said: dict[str, Any] = json.loads(body("idle", "configz"))
    said["kubeletconfig"]["cgroupRoot"] = cgroup_root
    return said


def pods(pod: Pod, slot: Slot) -> dict[str, Any]:
    """The kubelet's /pods: the one that runs here."""
    container = pod.containers[0]
    return {
        "items": [
            {
                "metadata": {"name": NAME, "namespace": NAMESPACE, "uid": slot.pod_uid, "labels": dict(pod.labels)},
                "spec": {"nodeName": NODE_NAME, "containers": [{"name": container.name, "image": container.image}]},
                "status": {
                    "phase": "Running",
                    "qosClass": "Burstable",
                    "containerStatuses": [
                        {
                            "name": container.name,
                            "image": container.image,
                            "containerID": f"containerd://{slot.container_id}",
                        }
                    ],
                },
            }
        ]
    }
