"""How full the persistent volumes are that pods of this node have mounted, under the kubelet's own names.

The numbers are those of the kubelet's summary, up to a minute old; ``headroom_pod_storage_stat_age_seconds`` tells.
A claim that several pods use is told once. Left out: volumes without a claim (an ``emptyDir`` shows the capacity of
its filesystem, not its own), and numbers that the summary does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from agent.collectors.pod_series import PodSeries, Rows, current, measured
from agent.collectors.selection import selection_of
from agent.model import Declared, Family, Part, Writer
from agent.sources.host import Host

if TYPE_CHECKING:  # the parsers load only with a kubelet
    from agent.sources.kubelet.summary import PodStats


def _gauge(name: str, help: str) -> Family:
    return Family(f"kubelet_volume_stats_{name}", "gauge", f"[ALPHA] {help}", ("namespace", "persistentvolumeclaim"))


CAPACITY = _gauge("capacity_bytes", "Capacity in bytes of the volume")
AVAILABLE = _gauge("available_bytes", "Number of available bytes in the volume")
USED = _gauge("used_bytes", "Number of used bytes in the volume")
INODES = _gauge("inodes", "Maximum number of inodes in the volume")
INODES_FREE = _gauge("inodes_free", "Number of free inodes in the volume")
INODES_USED = _gauge("inodes_used", "Number of used inodes in the volume")


class VolumeStats:
    name: Final = "volume_stats"
    part: Final[Part] = "headroom"
    families: Final[Declared] = (AVAILABLE, CAPACITY, INODES, INODES_FREE, INODES_USED, USED)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._host = host
        self._selection = selection_of(options)
        self._series = PodSeries(self.name, self.families, self._selection)

    def collect(self, out: Writer) -> None:
        kubelet = self._host.kubelet
        summary, pods = current(kubelet.summary(), "stats/summary", self._host.calls), kubelet.pods()

        def make(rows: Rows) -> None:
            for one in measured(summary.value, pods.value if pods else (), self._selection):
                rows.pod(one.uid, one.stats.namespace, one.created_s)
                _add(rows, one.stats)

        self._series.write(out, (summary, pods), make)


def _add(rows: Rows, pod: PodStats) -> None:
    """A claim is the oldest pod's that uses it: told by no other, and as long as that one is."""
    for volume in pod.volumes:
        if volume.pvc is not None:
            rows.add(AVAILABLE, volume.pvc, volume.stats.available_bytes)
            rows.add(CAPACITY, volume.pvc, volume.stats.capacity_bytes)
            rows.add(INODES, volume.pvc, volume.stats.inodes)
            rows.add(INODES_FREE, volume.pvc, volume.stats.inodes_free)
            rows.add(INODES_USED, volume.pvc, volume.stats.inodes_used)
            rows.add(USED, volume.pvc, volume.stats.used_bytes)
