"""The aggregator's composition root: settings in, a running process out; and its end in order."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from typing import Final

from agent import __version__, log
from agent.aggregator.admission import Admission
from agent.aggregator.credentials import guards, http_guards
from agent.aggregator.http import Listener, Pages
from agent.aggregator.intake import Intake
from agent.aggregator.known import NAME
from agent.aggregator.listening import parse_address
from agent.aggregator.reviewer import Reviewer
from agent.aggregator.service import Service
from agent.aggregator.store import PERIOD_S, Store
from agent.aggregator.telemetry import ReviewTelemetry, Telemetry
from agent.aggregator.writer import Writer
from agent.config.load import Config
from agent.errors import ConfigError

GC_ALLOCATIONS: Final = (
    100_000  # a schema is thousands of tuples: by default it would be looked through while it is made
)


class Aggregator:
    """Everything wired, nothing running. Raises ConfigError and StoreError."""

    def __init__(self, config: Config) -> None:
        self._config = config
        if not NAME.fullmatch(config["cluster"]):
            raise ConfigError(f"--cluster {config['cluster']!r} is not a name")
        self._retention_s = max(config["retention"], PERIOD_S)
        self._guards = guards(config)
        self._http = http_guards(config)
        self._grpc_address = parse_address("--grpc-listen", config["grpc-listen"])
        self._http_address = parse_address("--http-listen", config["http-listen"])

    def run(self) -> int:
        """Until SIGINT or SIGTERM: exit code 0."""
        gc.set_threshold(GC_ALLOCATIONS)
        code = asyncio.run(self._run())
        log.info("stopped")
        return code

    async def _run(self) -> int:
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        store = Store(self._config["data-dir"], self._retention_s)
        try:
            durable = store.load(time.time())
            intake = Intake(durable)
            told = Telemetry(intake.views, store.size_bytes)
            asking = self._guards.asking
            reviewer = Reviewer(asking, ReviewTelemetry(told.registry)) if asking else None
            admission = Admission(self._config["cluster"], self._guards.believed, reviewer)
            service = Service(intake, told, admission, durable.store_id)
            writer = service.writer = Writer(intake, store, told, service.deliver, self._retention_s)
            tokens, tls, paths = self._http

            def wrong() -> str:
                return "stopping" if stopped.is_set() else "" if writer.works else "the store cannot be written"

            listener = Listener(Pages(intake.views, told.registry, wrong, tokens), self._http_address, tls, paths)
            try:
                return await self._serve(service, writer, listener, stopped)
            finally:
                await service.stop()
                await listener.stop()
                if reviewer:
                    await reviewer.stop()
        finally:
            store.close()

    async def _serve(self, service: Service, writer: Writer, listener: Listener, stopped: asyncio.Event) -> int:
        address = await service.start(self._grpc_address, self._guards)
        await listener.start()
        writing = asyncio.create_task(writer.run())
        ending = asyncio.create_task(stopped.wait())
        log.info("serving", version=__version__, url=listener.url, grpc=str(address))
        await asyncio.wait((writing, ending), return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        writer.stop()
        await writing  # raises where the writer had a defect: without it nothing is acknowledged any more
        return 0
