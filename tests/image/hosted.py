"""A rendered pod on this machine: below a cgroup that looks like a kubelet's, with a kubelet in its network to ask."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.containers.runc import Runc, Slot
from tests.image import bundle
from tests.image.building import Built
from tests.image.bundle import Node, Place
from tests.image.pod import Pod
from tests.image.sandbox import Sandbox
from tests.kubelet import scripted
from tests.kubelet.scripted import ScriptedKubelet, server_context

NAMESPACE: Final = "headroom"
NAME: Final = "headroom-agent-x7k2p"
UID: Final = "6b1f6a1e-0f5c-4d53-9d7e-3f1f0c8a2b11"
CONTAINER_ID: Final = "5ea1" * 16
NODE_NAME: Final = "worker-1"
ADDRESS: Final = "127.0.0.1"  # of the node: its kubelet is in the pod's own network, where nobody else is disturbed
KUBELET_PORT: Final = 10250
METRICS_PORT: Final = 9910
TOKEN: Final = b"a token of the test"


class Hosted(NamedTuple):
    """A pod that was started, its bundle's directory, its kubelet, and the cgroups that it is in."""

    sandbox: Sandbox
    kubelet: ScriptedKubelet
    slot: Slot
    runc: Runc

    def get(self, path: str, accept: str = "") -> bytes:
        """The body of a 200."""
        status, body = self.sandbox.get(path, METRICS_PORT)
        assert status == 200, (path, status, body)
        return body.encode()


@contextmanager
def hosted(
    built: Built, pod: Pod, certificates: Path, of: str = "full", before: Callable[[Path], None] | None = None
) -> Iterator[Hosted]:
    """The first container runs when this gives it; ``before`` changes the bundle before that."""
    slot = Slot(UID, CONTAINER_ID)
    place = Path(tempfile.mkdtemp(prefix="headroom-bundle-"))
    place.chmod(0o755)
    with Runc() as runc:
        where = Place(NAMESPACE, NAME, UID, CONTAINER_ID, runc.path(slot), str(place), str(built.rootfs(of)))
        bundle.write(place, pod, pod.containers[0], built.image(of), node(certificates), where)
        if before:
            before(place)
        sandbox, kubelet = Sandbox(place), None
        try:
            sandbox.network()
            kubelet = sandbox.inside(lambda: ScriptedKubelet(server_context(certificates, "signed"), ADDRESS, KUBELET_PORT))
            kubelet.script["/pods"] = scripted.says(200, json.dumps(pods(pod)).encode())
            yield Hosted(sandbox, kubelet, slot, runc)
        finally:
            sandbox.down()
            if kubelet:
                kubelet.stop()
            shutil.rmtree(place)


def node(certificates: Path, unified: bool = False) -> Node:
    """This machine as a node: what its kubelet and its API server give to a pod."""
    ca = (certificates / "ca.pem").read_bytes()
    files = {("token", "", "token"): TOKEN, ("configMap", "kube-root-ca.crt", "ca.crt"): ca}
    return Node(NODE_NAME, ADDRESS, unified, files)


def pods(pod: Pod) -> dict[str, Any]:
    """The kubelet's /pods: the one that runs here."""
    container = pod.containers[0]
    return {
        "items": [
            {
                "metadata": {"name": NAME, "namespace": NAMESPACE, "uid": UID, "labels": dict(pod.labels)},
                "spec": {"nodeName": NODE_NAME, "containers": [{"name": container.name, "image": container.image}]},
                "status": {
                    "phase": "Running",
                    "qosClass": "Burstable",
                    "containerStatuses": [
                        {"name": container.name, "image": container.image, "containerID": f"containerd://{CONTAINER_ID}"}
                    ],
                },
            }
        ]
    }
