"""What is counted about asking the kubelet, and how old its statistics are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from agent.model import Declared, Family, Writer
from agent.sources.calls import Calls
from agent.sources.kubelet.slot import Document, Kubelet
from agent.sources.kubelet.summary import Filesystem, MemoryStats, Pids, Summary
from agent.telemetry import Counter, Histogram, Instrument

REQUESTS = Family(
    "headroom_kubelet_requests_total",
    "counter",
    "Requests to the kubelet, by path and status; the status is none where there was no answer.",
    ("path", "code"),
)
ERRORS = Family(
    "headroom_kubelet_errors_total",
    "counter",
    "Requests to the kubelet that came to nothing, by path and reason. The last good document stays in use.",
    ("path", "reason"),
)
DURATION = Family(
    "headroom_kubelet_request_duration_seconds",
    "histogram",
    "From a request to the kubelet, its connection included, to its document read, or to its failure, by path.",
    ("path",),
)
AGE = Family(
    "headroom_kubelet_stat_age_seconds",
    "gauge",
    "Age of what the kubelet last said: of its documents pods, summary and configz since they were asked for, and of"
    " the oldest statistic of each kind in the summary since the kubelet took it.",
    ("kind",),
)
FAMILIES: Final[Declared] = (REQUESTS, ERRORS, DURATION, AGE)
BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Ages:
    """An Instrument that looks at the documents when it is asked."""

    family: Family = AGE

    def __init__(self, kubelet: Kubelet, calls: Calls) -> None:
        self._kubelet = kubelet
        self._calls = calls
        self._of: Document[Summary] | None = None
        self._oldest: tuple[tuple[str, float], ...] = ()

    def write(self, out: Writer) -> None:
        ages = dict(self._ages(self._calls.monotonic_s()))
        out.many(self.family, tuple((kind,) for kind in ages), list(ages.values()))

    def _ages(self, now_s: float) -> Iterator[tuple[str, float]]:
        """By the monotonic clock since an answer; within it, by the kubelet's clock, which is this machine's."""
        summary = self._kubelet.summary()
        for kind, document in (
            ("pods", self._kubelet.pods()),
            ("summary", summary),
            ("configz", self._kubelet.configz()),
        ):
            if document is not None:
                yield kind, max(0.0, now_s - document.taken_s)
        if summary is not None:
            if summary is not self._of:
                self._of, self._oldest = summary, tuple(_oldest(summary.value))
            for kind, time_s in self._oldest:
                yield kind, max(0.0, now_s - summary.taken_s + summary.time_s - time_s)


def _oldest(summary: Summary) -> Iterator[tuple[str, float]]:
    """Per kind the time of the statistic that is oldest; a kind without any is left out."""
    node, pods = summary.node, summary.pods
    kinds: dict[str, list[MemoryStats | Filesystem | Pids | None]] = {
        "node_memory": [node.memory],
        "nodefs": [node.fs],
        "imagefs": [node.image_fs],
        "pids": [node.pids],
        "pod_memory": [pod.memory for pod in pods],
        "container_memory": [container.memory for pod in pods for container in pod.containers],
        "volume": [volume.stats for pod in pods for volume in pod.volumes],
    }
    for kind, statistics in kinds.items():
        times = [one.time_s for one in statistics if one is not None and one.time_s is not None]
        if times:
            yield kind, min(times)


class KubeletTelemetry:
    """The poller's instruments."""

    def __init__(self, kubelet: Kubelet, calls: Calls) -> None:
        self._requests = Counter(REQUESTS)
        self._errors = Counter(ERRORS)
        self._duration = Histogram(DURATION, BOUNDS_S)
        self.instruments: tuple[Instrument, ...] = (self._requests, self._errors, self._duration, Ages(kubelet, calls))

    def answered(self, path: str, code: str, seconds: float) -> None:
        self._requests.inc(path, code)
        self._duration.observe(seconds, path)

    def failed(self, path: str, reason: str) -> None:
        self._errors.inc(path, reason)
