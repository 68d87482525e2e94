"""The aggregator's composition root: settings in, a running process out; and its end in order."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from typing import Final

from agent import __version__, log
from agent.aggregator.http import Listener, Pages
from agent.aggregator.intake import Intake
from agent.aggregator.known import NAME
from agent.aggregator.listening import Files, parse_address
from agent.aggregator.service import Credentials, Service
from agent.aggregator.store import PERIOD_S, Store
from agent.aggregator.telemetry import Telemetry
from agent.aggregator.writer import Writer
from agent.config.load import Config
from agent.errors import ConfigError

RENEW_S: Final = 60.0
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
        self._credentials = _credentials(config)
        self._http = _http_guards(config)
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
            service = Service(intake, told, self._credentials, durable.store_id, self._retention_s / 4)
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
        finally:
            store.close()

    async def _serve(self, service: Service, writer: Writer, listener: Listener, stopped: asyncio.Event) -> int:
        address = await service.start(self._grpc_address)
        await listener.start()
        writing = asyncio.create_task(writer.run())
        ending = asyncio.create_task(stopped.wait())
        log.info("serving", version=__version__, url=listener.url, grpc=str(address))
        while not (writing.done() or ending.done()):
            await asyncio.wait((writing, ending), timeout=RENEW_S, return_when=asyncio.FIRST_COMPLETED)
            service.renew()
        ending.cancel()
        writer.stop()
        await writing  # raises where the writer had a defect: without it nothing is acknowledged any more
        return 0


def _credentials(config: Config) -> Credentials:
    """Raises ConfigError: agents are believed only by somebody's decision."""
    cert, key, ca = (config[f"grpc.tls-{name}"] or config[f"tls-{name}"] for name in ("cert", "key", "client-ca"))
    believed = config["insecure"]
    if (cert or key or ca) and not (cert and key):
        raise ConfigError("TLS needs both --grpc.tls-cert and --grpc.tls-key")
    if not (ca or believed):
        raise ConfigError(
            "agents are known by their certificates: give --grpc.tls-cert, --grpc.tls-key and --grpc.tls-client-ca, "
            "or believe whoever connects with --insecure"
        )
    if ca and believed:
        raise ConfigError("--insecure believes every agent, and --grpc.tls-client-ca none without a certificate")
    return Credentials(Files(cert, key, ca) if cert else None, bool(ca), believed, config["cluster"])


def _http_guards(config: Config) -> tuple[Files | None, Files | None, tuple[str, str, str]]:
    """Tokens, TLS files and their paths. Raises ConfigError: what is served names pods, mounts and processes."""
    cert, key, ca = (config[f"http.tls-{name}"] for name in ("cert", "key", "client-ca"))
    token = config["http.token-file"]
    address = parse_address("--http-listen", config["http-listen"])
    if not (address.is_loopback or ca or token or config["http.insecure"]):
        raise ConfigError(
            f"--http-listen {address} is open to other machines without authentication: "
            "give --http.token-file or --http.tls-client-ca, or accept it with --http.insecure"
        )
    if (cert or key or ca) and not (cert and key):
        raise ConfigError("TLS needs both --http.tls-cert and --http.tls-key")
    tokens = Files(token) if token else None
    if tokens and not tokens.content()[0].strip():
        raise ConfigError(f"{token} has no line with a secret in it")
    return tokens, Files(cert, key, ca) if cert else None, (cert, key, ca)
