"""The eviction watch: once a second it looks at a few cheap files, and notices what the kubelet will only see when it
looks next, every 10 s.

Invariants: a view is immutable and replaced as a whole, so a scrape waits for nothing but the first look; what happened
is in the journal before the view that shows it; a statistic that cannot be read costs its own signal. While a threshold
is near, the kubelet is asked every 10 s instead of every minute.

Threads: ``run`` on one of its own. ``view`` by any; where nobody runs the watch, the caller looks itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from agent.errors import Overdue, SourceError
from agent.eviction.chronicle import Chronicle
from agent.eviction.conditions import Conditions
from agent.eviction.configuration import Origin
from agent.eviction.configured import Configured
from agent.eviction.direct import Direct
from agent.eviction.extremes import Minute
from agent.eviction.journal import Journal
from agent.eviction.margins import Crossings, Margin
from agent.eviction.oom import OomKills
from agent.eviction.order import Order, Standing
from agent.eviction.outlook import Outlook
from agent.eviction.signals import Observations, Source, condition, from_summary
from agent.eviction.thresholds import with_containerfs
from agent.eviction.view import View
from agent.sources.host import Host
from agent.sources.kubelet.slot import STALE_S

INTERVAL_S: Final = 1.0
STUCK_S: Final = 10.0
MISSED_S: Final = 60.0  # our own reading may fail for so long before the kubelet's stands in for it
NEAR_RATIO: Final = 0.02
NEAR_S: Final = 600.0


class Watch:
    """Looks, remembers, and says. Nothing runs until ``start``."""

    def __init__(self, host: Host, config_file: str = "", root_dir: str = "", image_dir: str = "") -> None:
        self._host = host
        self._configured = Configured(host, config_file)
        self._direct = Direct(host, root_dir, image_dir)
        self._oom = OomKills(host, self._direct.tree)
        self._chronicle = Chronicle(host, self._oom)
        self._order = Order(host, self._direct)
        self._outlook = Outlook()
        self._minutes: dict[str, Minute] = {}
        self._read_s: dict[str, float] = {}
        self._crossings = _crossings()
        self._conditions = Conditions()
        self._origin: Origin | None = None
        self._summary: tuple[object, Observations] = (None, {})
        self._errors: list[SourceError] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._running = False
        self._looked = threading.Event()
        self._view: View | None = None

    @property
    def journal(self) -> Journal:
        return self._chronicle.journal

    def start(self) -> None:
        """A defect in here ends the thread, and by ``threading.excepthook`` the process."""
        self._running = True
        threading.Thread(target=self.run, name="eviction", daemon=True).start()

    def run(self) -> None:
        """Once a second, whatever a look costs; one that took longer is followed by the next at once."""
        due_s = time.monotonic()
        while not self._stop.is_set():
            self.look()
            due_s = max(due_s + INTERVAL_S, time.monotonic())
            self._stop.wait(due_s - time.monotonic())

    def stop(self) -> None:
        self._stop.set()

    def view(self) -> View:
        """The last look; a new one where nobody runs the watch. Raises Overdue when the watch is stuck."""
        if not self._running:
            return self.look()
        self._looked.wait(STUCK_S)
        view = self._view
        if view is None or self._host.calls.monotonic_s() - view.monotonic_s > STUCK_S:
            raise Overdue("eviction", f"the watch has not looked for more than {STUCK_S:.0f} s")
        return view

    def order(self, view: View) -> Standing:
        """Who would go first for each signal that has a threshold, by what is known now."""
        return self._order.standing(threshold.signal for threshold in view.config.thresholds)

    def places(self) -> dict[str, str]:
        """Where the filesystems are that are looked at, for people, by the kubelet's name of them."""
        places = self._direct.places
        named = (("nodefs", places.nodefs), ("imagefs", places.imagefs)) if places else ()
        return {name: place.text() for name, place in named if place is not None}

    def unplaced(self) -> dict[str, str]:
        """Why a filesystem was not found, by the kubelet's name of it; what is told of it then, the kubelet told."""
        places = self._direct.places
        named = (("nodefs", places.nodefs), ("imagefs", places.imagefs)) if places else ()
        return {name: places.errors[name].detail for name, place in named if places and place is None}

    @property
    def kernel_log_refused(self) -> SourceError | None:
        """Why the kernel's log cannot be read; None where it can."""
        return self._oom.refused

    def memory(self) -> dict[str, int]:
        """What lies between MemAvailable and memory.available, by its parts; empty where it cannot be told."""
        return self._direct.memory_parts()

    def errors(self) -> list[SourceError]:
        """What could not be read, or was refused, at the last look."""
        return list(self._errors)

    def look(self) -> View:
        """One look at everything."""
        with self._lock:
            self._view = view = self._look(self._host.calls.monotonic_s(), self._host.calls.time_s())
        self._looked.set()
        return view

    def _look(self, now_s: float, time_s: float) -> View:
        said = self._configured.now(now_s)
        wanted = self._host.kubelet.wants_flagz = "root-dir" not in self._configured.flags
        flagz = self._host.kubelet.flagz() if wanted else None  # else the command line is newer
        self._direct.tell(flagz.value if flagz else None, self._configured.flags)
        direct = self._direct.read(now_s)
        config = said._replace(thresholds=with_containerfs(said.thresholds, self._order.layout()))
        self._follow(config.origin)
        observations: dict[Source, Observations] = {"direct": direct, "kubelet": self._kubelet(now_s)}
        margins = tuple(
            margin
            for source, observed in observations.items()
            for margin in self._crossings[source].measure(now_s, config.thresholds, observed)
        )
        self._remember(now_s, direct)
        best = _best(margins, {signal for signal, at_s in self._read_s.items() if now_s - at_s < MISSED_S})
        left_s = self._outlook.seconds_left(now_s, best)
        met = {condition(margin.threshold.signal) for margin in best if margin.crossed}
        conditions = self._conditions.update(now_s, met, config.transition_s)
        self._chronicle.note_margins(best, config, time_s)
        self._chronicle.note_conditions(conditions, time_s)
        self._chronicle.note_pods(time_s)
        uncounted = self._chronicle.note_oom_kills(time_s)
        self._errors = [
            *self._direct.errors,
            *self._configured.errors,
            *config.refused,
            *([uncounted] if uncounted else []),
        ]
        self._host.kubelet.urgent = self._chronicle.crossed or _near(best, left_s.values())
        return View(
            time_s=time_s,
            monotonic_s=now_s,
            config=config,
            observations={source: observed for source, observed in observations.items() if observed},
            margins=margins,
            seconds_left=left_s,
            trends=self._outlook.trends(now_s),
            extremes={signal: self._minutes[signal].extremes() for signal in direct},
            conditions=conditions,
        )

    def _follow(self, origin: Origin) -> None:
        """What another configuration made of the node is over: its thresholds never were this kubelet's."""
        if origin != self._origin:
            self._origin = origin
            self._crossings = _crossings()
            self._conditions = Conditions()

    def _kubelet(self, now_s: float) -> Observations:
        """What its summary said, while that still speaks of the present; taken apart once."""
        document = self._host.kubelet.summary()
        if document is None or now_s - document.taken_s > STALE_S:
            return {}
        if self._summary[0] is not document:
            self._summary = (document, from_summary(document.value))
        return self._summary[1]

    def _remember(self, now_s: float, direct: Observations) -> None:
        for signal, said in direct.items():
            self._minutes.setdefault(signal, Minute()).add(now_s, said.available)
            self._read_s[signal] = now_s
            self._outlook.add(now_s, signal, said.available)


def watch_of(host: Host, options: Mapping[str, Any]) -> Watch:
    """The one that the agent runs, where it runs one."""
    given: Watch | None = options.get("watch")
    return Watch(host) if given is None else given


def _crossings() -> dict[Source, Crossings]:
    return {source: Crossings(source) for source in ("direct", "kubelet")}


def _best(margins: Iterable[Margin], ours: Collection[str]) -> list[Margin]:
    """One margin for each threshold: our own reading, and the kubelet's for signals that are not ``ours``.

    One reading of ours that failed must not let an older one of the kubelet's clear a crossing.
    """
    chosen: dict[tuple[str, str], Margin] = {}
    for margin in margins:
        name = (margin.threshold.signal, margin.threshold.kind)
        if margin.source == "direct" or margin.threshold.signal not in ours:
            chosen.setdefault(name, margin)
    return list(chosen.values())


def _near(margins: Iterable[Margin], left_s: Iterable[float]) -> bool:
    """Whether it is worth what it costs the kubelet to be asked every 10 s."""
    return any(margin.ratio < NEAR_RATIO for margin in margins) or any(seconds < NEAR_S for seconds in left_s)
