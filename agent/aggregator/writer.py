"""The group commit: what came within 200 ms is one transaction, written in its own thread, and answered after it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from agent import log
from agent.aggregator.commit import Ack, Welcome
from agent.aggregator.intake import Due, Intake
from agent.aggregator.store import TOMBSTONE_S, Store, StoreError
from agent.aggregator.telemetry import Telemetry

EVERY_S: Final = 0.2
MANY: Final = 256  # records that do not wait for it
RETRY_S: Final = 1.0
TIDY_S: Final = 60.0


class Writer:
    """``deliver`` sends an answer. ``works`` is whether the store took the last transaction."""

    def __init__(
        self,
        intake: Intake,
        store: Store,
        told: Telemetry,
        deliver: Callable[[Welcome | Ack], None],
        retention_s: float,
    ) -> None:
        self._intake = intake
        self._store = store
        self._told = told
        self._deliver = deliver
        self._retention_s = retention_s
        self._thread = ThreadPoolExecutor(1, "store")
        self._kick = asyncio.Event()
        self._done = asyncio.Condition()
        self._turns = 0
        self._stopping = self._writing = False
        self.works = True

    async def run(self) -> None:
        """Until ``stop``; then what waits is written once more."""
        tidied_s = time.monotonic()
        while not self._stopping:
            await self._pause(EVERY_S if self.works else RETRY_S)
            await self._write()
            if time.monotonic() - tidied_s > TIDY_S:
                tidied_s = time.monotonic()
                self._tidy()
        await self._write()
        self._thread.shutdown()

    def came(self) -> None:
        """A record did."""
        if self._intake.waiting >= MANY and self.works:
            self._kick.set()

    def stop(self) -> None:
        self._stopping = True
        self._kick.set()

    async def flushed(self) -> None:
        """Everything that came before is durable and answered. Waits for as long as the disk takes nothing."""
        turn = self._turns + (2 if self._writing else 1)  # the one under way began before
        self._kick.set()
        async with self._done:
            await self._done.wait_for(lambda: self._turns >= turn or self._stopping)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._kick.wait(), seconds)
        except TimeoutError:
            pass
        self._kick.clear()

    async def _write(self) -> None:
        due = self._intake.commit(_now_ms())
        if due is not None and not await self._stored(due):
            return
        if due is not None:
            for gap in due.commit.gaps:
                self._told.lost(gap)
            for answer in self._intake.committed(_now_ms()):
                self._deliver(answer)
        async with self._done:
            self._turns += 1
            self._done.notify_all()

    async def _stored(self, due: Due) -> bool:
        begun_s = time.monotonic()
        loop = asyncio.get_running_loop()
        self._writing = True
        try:
            await loop.run_in_executor(self._thread, self._store.commit, *due, time.time())
        except StoreError as error:
            self._told.commit_errors.inc()
            if self.works:
                log.error("nothing is acknowledged until the store can be written again", error=error)
            self.works = False
            return False
        finally:
            self._writing = False
        self._told.commits.observe(time.monotonic() - begun_s)
        if not self.works:
            log.info("the store is written again")
        self.works = True
        return True

    def _tidy(self) -> None:
        now_s = int(time.time())
        self._intake.ingest.expire(int(self._retention_s), now_s)
        self._intake.views.forget((now_s - int(max(TOMBSTONE_S, self._retention_s))) * 1000)


def _now_ms() -> int:
    return int(time.time() * 1000)
