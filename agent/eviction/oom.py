"""Which processes the kernel killed for want of memory, and whose they were.

The node's own counter says that there were some (one cheap file, once a second). Who it was is read from the kernel's
log where we may read that; else from the counters of the containers, of which one has grown; a container that ended of
it, and is gone, is known by its pod's counter (v2). What nobody can tell is still an event, of the node.

Threads: one at a time.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from agent.errors import Gone, SourceError
from agent.sources.cgroup.oom import read_node_oom_kills, read_oom_kills
from agent.sources.cgroup.tree import Tree, container_id
from agent.sources.host import Host
from agent.sources.kmsg import Kmsg, open_kmsg

PATIENCE: Final = 2  # readings in which the log may still tell what the counter has told


class OomKill(NamedTuple):
    """``cgroup`` is empty when nobody knows; ``command`` and ``pid`` only the kernel's log tells."""

    cgroup: str
    processes: int = 1
    command: str = ""
    pid: int | None = None

    @property
    def container_id(self) -> str:
        return container_id(self.cgroup.rpartition("/")[2])


class OomKills:
    """``poll`` gives those since the last call; the first call gives none."""

    def __init__(self, host: Host, tree: Tree) -> None:
        self._host = host
        self._tree = tree
        opened = open_kmsg(host.rootfs)
        self.refused = opened if isinstance(opened, SourceError) else None
        self._kmsg: Kmsg | None = None if isinstance(opened, SourceError) else opened
        self._node: int | None = None
        self._of: dict[str, int] = {}
        self._told: list[OomKill] = []  # by the log, since the counters were looked at
        self._untold = 0
        self._waited = 0

    def poll(self) -> list[OomKill]:
        """Raises SourceError where the node does not count them."""
        total = read_node_oom_kills(self._host.procfs)
        known = self._log()
        if total is None:
            return known
        if self._node is None:
            self._node, self._of = total, self._counters()
            return []
        self._untold += max(0, total - self._node) - len(known)
        self._node = total
        self._told += known
        self._waited = self._waited + 1 if self._untold else 0
        if self._untold and (self._kmsg is None or self._waited > PATIENCE):
            if self._untold > 0:
                known += self._by_counters(self._untold)
            self._untold = 0
        elif self._told and not self._untold:  # so that a later look at the counters does not find the same again
            self._of = self._counters()
            self._told.clear()
        return known

    def _log(self) -> list[OomKill]:
        if self._kmsg is None:
            return []
        try:
            return [OomKill(said.cgroup, 1, said.command, said.pid) for said in self._kmsg.read()]
        except SourceError as error:
            self.refused, self._kmsg = error.kept(), None
            return []

    def _by_counters(self, processes: int) -> list[OomKill]:
        """Leaves first, then pods for what their vanished leaves had; what is left over is the node's.

        Of a container that is killed as a whole the log names one process, and the counters have the others.
        """
        before, self._of = self._of, self._counters()
        told, self._told = self._told, []
        found: list[OomKill] = []
        for path in sorted(self._of, key=lambda path: path.count("/"), reverse=True):
            grown = self._of[path] - before.get(path, 0)
            grown -= sum(kill.processes for kill in [*told, *found] if f"{kill.cgroup}/".startswith(f"{path}/"))
            if grown > 0:
                found.append(OomKill(path, grown))
        rest = processes - sum(kill.processes for kill in found)
        return [*found, OomKill("", rest)] if rest > 0 else found

    def _counters(self) -> dict[str, int]:
        """By the path of each container and pod. What is gone meanwhile, or has no counter, is left out."""
        counters: dict[str, int] = {}
        try:
            scan, hierarchy = self._tree.scan(), self._tree.hierarchy
        except SourceError:  # no pods here
            return counters
        for path in [*(group.path for group in scan.containers), *(pod.path for pod in scan.pods)]:
            try:
                kills = read_oom_kills(self._host.sysfs, hierarchy, path)
            except Gone:
                continue
            if kills is not None:
                counters[path] = kills
        return counters
