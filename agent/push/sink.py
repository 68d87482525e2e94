"""The push sink: it asks for a batch by its own schedule, writes it to the spool, and delivers from there.

What happened is written as soon as it happens. Without a target it is only written. A spool that cannot be opened is
tried again; nothing waits for it. While another process of this node holds the spool, it records and we do not: in a
rolling update the new pod goes on within a second of the old one's end. One that does not end is not waited for longer
than a minute. The spool yields its disk before the node's kubelet would have to act.
Threads: one of its own; ``wake`` and ``stop`` by any.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agent import log
from agent.engine import Engine
from agent.errors import SourceError, SpoolError
from agent.push.delivery import Delivery
from agent.push.disk import Disk
from agent.push.messages import Identity
from agent.push.push_telemetry import PushTelemetry
from agent.push.recorder import Recorder
from agent.push.shelf import is_taken
from agent.push.spool import Spool

if TYPE_CHECKING:
    from agent.eviction.watch import Watch
    from agent.push.transport import Transport

SECOND_S: Final = 1.0
REOPEN_S: Final = 30.0
YIELD_S: Final = 60.0  # longer than a pod that is replaced takes to end
LOOK_AGAIN_S: Final = 0.25
FINISH_S: Final = 0.5
JOIN_S: Final = 0.8
DISK_SIGNALS: Final = ("nodefs.available", "imagefs.available")
SAME_SHARE: Final = 0.01  # two readings of one filesystem, a second apart


class Plan(NamedTuple):
    """``max_age_s``: how old a batch may be that another sink has asked for."""

    interval_s: float
    max_age_s: float
    directory: str
    temporary: bool = False  # the directory ends with us


class Sink:
    """Nothing runs until ``start``."""

    def __init__(
        self,
        plan: Plan,
        open_spool: Callable[[], Spool],
        watch: Watch | None,
        identity: Identity,
        transport: Transport | None,
    ) -> None:
        self._plan = plan
        self._open_spool = open_spool
        self._watch = watch
        self._identity = identity
        self._transport = transport
        self.telemetry = PushTelemetry()
        self._bell = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._spool: Spool | None = None
        self._recorder: Recorder | None = None
        self._delivery: Delivery | None = None
        self._reopen_s = 0.0
        self._waiting_since_s: float | None = None
        self._told = 0  # the last event that was written
        self._collected_s = 0.0  # of the last batch that was taken

    def start(self, engine: Engine) -> None:
        self._engine = engine
        if self._watch is not None:
            self._watch.journal.tell = self.wake
        self._thread = threading.Thread(target=self.run, name="push", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self._bell.set()

    def stop(self) -> None:
        """The last tick, synced, and a Goodbye, as far as that is done at once."""
        self._stopping = True
        self._bell.set()
        if self._thread is not None:
            self._thread.join(JOIN_S)

    def run(self) -> None:
        tick_s = second_s = time.monotonic()
        while not self._stopping:
            self._bell.clear()
            now_s = time.monotonic()
            if self._open(now_s):
                tick_s = now_s
            self._write_events()
            if now_s >= tick_s:
                self._tick()
                tick_s = max(tick_s + self._plan.interval_s, now_s)
            if now_s >= second_s:
                self._second(now_s)
                second_s = now_s + SECOND_S
            if not (self._delivery and self._delivery.turn(time.monotonic())) and not self._stopping:
                due_s = min(tick_s, second_s, self._delivery.due_s if self._delivery else second_s)
                due_s = due_s if self._spool else min(due_s, self._reopen_s)
                self._bell.wait(max(0.0, due_s - time.monotonic()))
        self._finish()

    def _finish(self) -> None:
        until_s = time.monotonic() + FINISH_S
        self._write_events()
        self._tick()
        if self._delivery is not None:
            self._delivery.finish(until_s)
        if self._spool is not None:
            self._spool.close()
        if self._plan.temporary:
            import shutil  # rarely needed

            shutil.rmtree(self._plan.directory, ignore_errors=True)

    def _open(self, now_s: float) -> bool:
        """Whether there is a spool now, and was none before."""
        if self._spool is not None or now_s < self._reopen_s:
            return False
        if self._waits(now_s):
            self._reopen_s = now_s + LOOK_AGAIN_S
            return False
        self._reopen_s = now_s + REOPEN_S
        try:
            spool = self._open_spool()
        except SpoolError as error:
            self.telemetry.errors.inc("spool")
            log.error("no spool, so nothing is pushed; tried again", error=error, seconds=REOPEN_S)
            return False
        self._spool = spool
        self._recorder = Recorder(spool)
        self.telemetry.spool.telemetry = spool.telemetry
        if self._transport is not None:
            self._delivery = Delivery(spool, self._transport, self._identity, self.telemetry, self.wake)
            self.telemetry.lag.now = self._delivery.lag_s
        return True

    def _waits(self, now_s: float) -> bool:
        """Whether another process records, which will soon have ended."""
        try:
            taken = is_taken(Disk(), self._plan.directory)
        except OSError:
            return False  # who opens a spool there is told why not
        if not taken:
            return False
        if self._waiting_since_s is None:
            self._waiting_since_s = now_s
            log.info("another process holds the spool and records; its end is waited for", seconds=YIELD_S)
        if now_s - self._waiting_since_s < YIELD_S:
            return True
        self.telemetry.errors.inc("spool")
        log.warn("another process still holds the spool; both record from now on, this one in a spool of its own")
        return False

    def _tick(self) -> None:
        if self._recorder is None:
            self.telemetry.errors.inc("no_spool")
            return
        batch = self._engine.snapshot(self._plan.max_age_s)
        if batch.monotonic_s == self._collected_s:
            return  # a tick that was late, or the last one: it came so soon that nothing was collected since
        self._collected_s = batch.monotonic_s
        try:
            name = self._recorder.samples(batch, max(0.0, time.time() - batch.time_s))
        except Exception as error:  # a batch that cannot be encoded costs itself: this node's metrics are still served
            self.telemetry.errors.inc("defect")
            log.error("a defect: this tick is not pushed", error=f"{type(error).__name__}: {error}")
            return
        self._appended(name)

    def _write_events(self) -> None:
        if self._recorder is None or self._watch is None:
            return
        new = self._watch.journal.after(self._told)
        if not new:
            return
        if missed := new[0].number - self._told - 1:
            self.telemetry.errors.inc("missed", by=missed)
        self._told = new[-1].number
        for name in self._recorder.events([one.event for one in new]):
            self._appended(name)

    def _appended(self, name: Any) -> None:
        if self._delivery is not None:
            self._delivery.appended(name)
        elif self._spool is not None:
            self._spool.changes()  # nobody else asks

    def _second(self, now_s: float) -> None:
        if self._spool is None:
            return
        margin = self._margin()
        if margin is not None:
            self._spool.yield_disk(margin)
        self._spool.maintain()
        if self._delivery is not None:
            self._delivery.look()
            self._delivery.tick(now_s)

    def _margin(self) -> float | None:
        """What is left on the disk under the spool, in thresholds; None where nobody knows."""
        if self._watch is None:
            return None
        try:
            view = self._watch.view()
            st = os.statvfs(self._plan.directory)
        except (SourceError, OSError):
            return None
        capacity, left = st.f_blocks * st.f_frsize, st.f_bavail * st.f_frsize
        margins = [
            one.available / one.quantity
            for one in view.margins
            if one.threshold.signal in DISK_SIGNALS and one.source == "direct" and one.quantity > 0
            if one.capacity == capacity and abs(one.available - left) <= SAME_SHARE * capacity  # the same filesystem
        ]
        return min(margins, default=float("inf"))
