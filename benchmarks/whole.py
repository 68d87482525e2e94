"""The whole agent beside node_exporter: 100 containers in 50 pods, named by a kubelet that is asked over TLS.

The cgroups are real ones, as in ``containers``; the kubelet is the tests' scripted one, in a process of its own. What
it says of each pod is what a real one said of a pod with two containers on the node's network, under other names.
One container works, so that its values, and with them their families' texts, are others at every scrape.

Memory is read after 300 scrapes and three polls. What the polls cost the kubelet and the container runtime is computed
from what was measured on a node with 99 pods.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from agent.settings import KUBELET
from benchmarks import containers
from benchmarks.measured import V1, Measured, Scraper
from benchmarks.node import MIB, Row, exporter_process, our_process, prepared

CONTAINERS, SCRAPES, POLLS, PATIENCE_S = 100, 300, 3, 60.0
RATIO_MAX, INDUCED_PERCENT_MAX = 1.2, 0.1
RECORDING, POD = "idle", "bu-multi-rnode"
# CPU of one answer with 99 pods: the kubelet's, and for a summary the container runtime's too.
ANSWER_MS: Final = {"/stats/summary": 18.5 + 23.3, "/pods": 4.5, "/configz": 0.5}
_POLLED: Final = 'headroom_kubelet_requests_total{path="/stats/summary",code="200"} '
_WORK: Final = "import time\nwhile True:\n    bytearray(1 << 20)\n    time.sleep(0.02)"
Json = dict[str, Any]


def possible() -> bool:
    """Whether cgroups and certificates can be made here."""
    return containers.possible() and shutil.which("openssl") is not None


def rows() -> list[Row]:
    return [*(memory() if possible() else ()), induced()]


def induced() -> Row:
    """At rest: every path once in the default interval."""
    interval_s = next(float(setting.default) for setting in KUBELET if setting.key == "kubelet.poll-interval")
    percent = sum(ANSWER_MS.values()) / 1000 / interval_s * 100
    what = "CPU induced in kubelet and containerd at rest, 99 pods: of a core (peer: the goal)"
    return Row(what, "%", percent, INDUCED_PERCENT_MAX, 1.0)


def memory() -> list[Row]:
    with containers.tree(CONTAINERS) as (root, paths), _working(paths[0]), _kubelet(paths) as flags:
        containers.floor(paths, (*containers.HOT, *containers.DETAIL, *containers.SPEC))()
        ours = our_process(*flags, "--kubelet.poll-interval=1s", f"--kubelet.cgroup-root={root}")
        with ours, exporter_process(prepared()) as peer:
            for process in (ours, peer):
                process.first_answer_s()
            _scraped(ours, peer)
            what = f"whole agent, kubelet over TLS, {CONTAINERS} containers, after {SCRAPES} scrapes"
            found = [Row(f"{what}: RSS", "MiB", ours.rss_bytes() / MIB, peer.rss_bytes() / MIB, RATIO_MAX)]
            a, b = ours.working_set_bytes(), peer.working_set_bytes()
            if a is not None and b is not None:
                found.append(Row(f"{what}: cgroup working set", "MiB", a / MIB, b / MIB, RATIO_MAX))
    return found


@contextlib.contextmanager
def _working(path: str) -> Iterator[None]:
    """A process in this container that does something all the time."""
    with subprocess.Popen([sys.executable, "-c", _WORK]) as process:
        try:
            for controller in containers.CONTROLLERS:
                (V1 / controller / path[1:] / "cgroup.procs").write_text(str(process.pid))
            yield
        finally:
            process.kill()


def _scraped(ours: Measured, peer: Measured) -> None:
    """In turns, and then until the kubelet has been asked often enough. Raises what says that this was not measured."""
    with Scraper(ours.port) as a, Scraper(peer.port) as b:
        for _ in range(SCRAPES):
            text, _ = a.get("/metrics").decode(), b.get("/metrics")
        deadline_s = time.monotonic() + PATIENCE_S
        while float((text.partition(_POLLED)[2] or "0").split("\n")[0]) < POLLS:
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"the kubelet has not answered {POLLS} times in {PATIENCE_S} s")
            time.sleep(0.1)
            text = a.get("/metrics").decode()
    named = sum(line.startswith('container_memory_rss{container="c') for line in text.splitlines())
    if named != CONTAINERS:
        raise ValueError(f"{named} of {CONTAINERS} containers have a name")


@contextlib.contextmanager
def _kubelet(paths: list[str]) -> Iterator[tuple[str, ...]]:
    """The agent's flags for a kubelet that knows these containers."""
    with tempfile.TemporaryDirectory() as place:
        for path, document in _documents(paths).items():
            (Path(place) / path.strip("/").replace("/", "_")).write_text(json.dumps(document))
        command = [sys.executable, "-m", "benchmarks.whole", place]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                url = process.stdout.readline().strip()
                yield f"--kubelet.url={url}", f"--kubelet.ca-file={place}/ca.pem"
            finally:
                process.terminate()


def _documents(paths: list[str]) -> dict[str, Json]:
    """``/pods`` and ``/stats/summary`` of a node with the pods and containers of these cgroups."""
    from tests.kubelet.bodies import said

    pods, summary = said(RECORDING, "pods"), said(RECORDING, "stats_summary")
    pod = next(item for item in pods["items"] if item["metadata"]["name"] == POD)
    stats = next(item for item in summary["pods"] if item["podRef"]["name"] == POD)
    groups: dict[str, list[str]] = {}
    for path in paths:
        groups.setdefault(path.split("/")[-2].removeprefix("pod"), []).append(os.path.basename(path))
    pods["items"] = [_pod(pod, uid, ids) for uid, ids in groups.items()]
    summary["pods"] = [_stats(stats, uid, len(ids)) for uid, ids in groups.items()]
    return {"/pods": pods, "/stats/summary": summary}


def _pod(recorded: Json, uid: str, ids: list[str]) -> Json:
    pod = copy.deepcopy(recorded)
    pod["metadata"] |= {"name": f"web-{uid[:8]}", "uid": uid, "annotations": {}}
    pod["spec"].pop("initContainers", None)
    pod["status"].pop("initContainerStatuses", None)
    for list_of in (pod["spec"]["containers"], pod["status"]["containerStatuses"]):
        list_of[:] = [{**one, "name": f"c{i}"} for i, one in enumerate(list_of[: len(ids)])]
    for status, container_id in zip(pod["status"]["containerStatuses"], ids, strict=True):
        status["containerID"] = f"containerd://{container_id}"
    return pod


def _stats(recorded: Json, uid: str, count: int) -> Json:
    stats = copy.deepcopy(recorded)
    stats["podRef"] |= {"name": f"web-{uid[:8]}", "uid": uid}
    stats["containers"] = [{**one, "name": f"c{i}"} for i, one in enumerate(stats["containers"][:count])]
    return stats


def _serve(place: Path) -> None:
    """In a process of its own: says where it listens, and answers until SIGTERM."""
    from tests.kubelet.scripted import ScriptedKubelet, make_certificates, says, server_context

    make_certificates(place)
    kubelet = ScriptedKubelet(server_context(place, "signed"))
    for path in ("/pods", "/stats/summary"):
        kubelet.script[path] = says(200, (place / path.strip("/").replace("/", "_")).read_bytes())
    print(kubelet.url, flush=True)
    kubelet.thread.join()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _serve(Path(sys.argv[1]))
    else:
        for row in rows():
            print(f"{row.what}: {row.ours:.2f} {row.unit}, {row.peer:.2f}, {row.ratio:.2f} {row.goal} met={row.met}")
