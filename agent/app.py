"""The composition root: settings in, a running agent out; and its shutdown in order."""

from __future__ import annotations

import gc
import os
import signal
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from agent import __version__, collectors, engine, log
from agent.collectors import selection
from agent.collectors.telemetry import Telemetry
from agent.config.load import Config
from agent.engine import Engine
from agent.errors import ConfigError
from agent.httpd.address import Address, listen, parse_address
from agent.httpd.connection import Limits
from agent.httpd.credentials import Credentials
from agent.httpd.server import Server
from agent.model import Collector, Declared
from agent.pull import telemetry
from agent.pull.pages import EVICTION, PATHS, Pages
from agent.sources.host import Host
from agent.sources.kubelet import telemetry as kubelet_telemetry
from agent.sources.kubelet.slot import NO_KUBELET, STALE_S, Kubelet

if TYPE_CHECKING:
    from agent.eviction.watch import Watch
    from agent.push.sink import Sink
    from agent.sources.kubelet.client import Client
    from agent.sources.kubelet.poller import Poller

STOP_SIGNALS: Final = {signal.SIGINT, signal.SIGTERM}
DEADLINE_S_MIN: Final = 0.01
M_ARENA_MAX: Final = -8  # malloc.h
POLL_MAX_S: Final = STALE_S - 60  # each answer comes, however late, before the last one is dropped

# What the agent serves about itself, besides what its collectors declare.
OWN_FAMILIES: Final[Declared] = (
    *engine.FAMILIES,
    *telemetry.FAMILIES,
    *kubelet_telemetry.FAMILIES,
    selection.DROPPED,
)


def push_families() -> Declared:
    """The same of an agent that pushes or spools; only such a one loads what declares them."""
    from agent.push import push_telemetry, spool_telemetry

    return (*push_telemetry.FAMILIES, *spool_telemetry.FAMILIES)


def host_of(config: Config, kubelet: Kubelet = NO_KUBELET) -> Host:
    """The node that the settings point at."""
    return Host.at(
        config["path.procfs"],
        config["path.sysfs"],
        config["path.rootfs"],
        config["path.calls"],
        config["node-name"],
        config["path.udev.data"],
        kubelet,
        config["kubelet.cgroup-root"],
    )


def kubelet_client(config: Config) -> Client | None:
    """How to ask the node's kubelet, if there is one to ask. Raises ConfigError."""
    if not config["kubelet.url"]:
        return None
    from agent.sources.kubelet.client import Client
    from agent.sources.kubelet.endpoint import parse_endpoint
    from agent.sources.kubelet.trust import Trust

    files = (config["kubelet.ca-file"], config["kubelet.cert-file"])
    trust = Trust(*files, config["kubelet.server-name"], config["kubelet.insecure-skip-verify"])
    trust.check()
    return Client(parse_endpoint(config["kubelet.url"]), trust, config["kubelet.token-file"])


def eviction_watch(config: Config, host: Host) -> Watch | None:
    """Who looks at the eviction signals, unless that is switched off."""
    if not collectors.is_wanted("eviction", config):
        return None
    from agent.eviction.watch import Watch

    paths = (config["kubelet.config-file"], config["kubelet.root-dir"], config["runtime.image-dir"])
    return Watch(host, *paths)


def push_sink(config: Config, host: Host, watch: Watch | None) -> Sink | None:
    """Who streams and spools, where somebody is to. Raises ConfigError."""
    if not (config["push.target"] or config["spool.dir"]):
        return None
    from agent.push.setup import sink_of

    return sink_of(config, host, watch)


class Agent:
    """Everything wired, nothing running. Raises ConfigError and ListenError."""

    def __init__(self, config: Config) -> None:
        _check_bounds(config)
        self.address = parse_address(config["listen"])
        tls, credentials = guards(config)
        host, self._poller = with_kubelet(config)
        observer = telemetry.PullTelemetry(PATHS)
        choice = selection.Selection(config.section("containers"))
        instruments = [*observer.instruments, choice.budget.dropped_total]
        if self._poller:
            instruments += self._poller.telemetry.instruments
        self.watch = eviction_watch(config, host)
        self._sink = push_sink(config, host, self.watch)
        if self._sink:
            instruments += self._sink.telemetry.instruments(bool(config["push.target"]))
        chosen: list[Collector] = [*collectors.build(config, host, choice, self.watch), Telemetry(instruments)]
        chosen.sort(key=lambda collector: collector.name == "textfile")  # last: it cannot take a name of ours
        self.engine = Engine(chosen, host.calls, config["collection.deadline"])
        pages = Pages(self.engine, credentials, config["pull.max-age"], self._documents(config["node-name"]))
        self._listener: socket.socket = listen(self.address)
        self.address = Address(self.address.host, self._listener.getsockname()[1])
        limits = Limits(connections=config["http.max-connections"])
        self._server = Server(self._listener, pages, observer, tls, limits)
        self.url = f"{'https' if tls else 'http'}://{_reachable(self.address)}"

    def _documents(self, node: str) -> dict[str, Callable[[], object]]:
        """What is served as JSON, by its path."""
        if self.watch is None:
            return {}
        from agent.eviction.report import report_of

        return {EVICTION: partial(report_of, self.watch, node)}

    def run(self) -> int:
        """Serves until SIGINT or SIGTERM (exit code 0), or until a thread dies (1): a half-alive agent lies."""
        failed: list[str] = []

        def give_up(args: Any) -> None:
            failed.append(f"{args.exc_type.__name__}: {args.exc_value}")
            log.error("a thread died; the agent ends", thread=args.thread, error=failed[-1])
            os.kill(os.getpid(), signal.SIGTERM)

        threading.excepthook = give_up
        _share_one_arena()
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # inherited by every thread; sigwait takes them
        threading.Thread(target=self._server.serve, name="accept", daemon=True).start()
        if self._poller is not None:
            self._poller.start()
        if self.watch is not None:
            self.watch.start()
        self.engine.snapshot()  # so that the first scrape finds everything loaded
        if self._sink is not None:
            self._sink.start(self.engine)
        gc.collect()
        gc.freeze()  # what is wired now lives as long as we do: the collector need not look at it again
        log.info("serving", version=__version__, url=self.url, collectors=len(self.engine.collectors))
        signal.sigwait(STOP_SIGNALS)
        self._server.stop()
        if self._sink is not None:
            self._sink.stop()
        if self._poller is not None:
            self._poller.stop()
        if self.watch is not None:
            self.watch.stop()
        log.info("stopped")
        return 1 if failed else 0


def _check_bounds(config: Config) -> None:
    """Raises ConfigError for what would have us serve nothing."""
    if config["collection.deadline"] < DEADLINE_S_MIN:
        raise ConfigError("--collection.deadline: 10ms at least; no collector is done before it is started")
    if config["http.max-connections"] < 1:
        raise ConfigError("--http.max-connections: 1 at least")


def with_kubelet(config: Config) -> tuple[Host, Poller | None]:
    """The node, with whoever will ask its kubelet."""
    client = kubelet_client(config)
    if client is None:
        return host_of(config), None
    from agent.sources.kubelet.poller import Poller

    if config["kubelet.poll-interval"] < 1:
        raise ConfigError("--kubelet.poll-interval: 1s at least; what the kubelet says changes every 10s")
    if config["kubelet.poll-interval"] > POLL_MAX_S:
        most = f"{POLL_MAX_S / 60:.0f}m at most"
        raise ConfigError(f"--kubelet.poll-interval: {most}; what it said {STALE_S / 60:.0f}m ago is not shown")
    if config["kubelet.insecure-skip-verify"]:
        log.warn("the kubelet's certificate is not verified: whoever answers in its place gets our token")
    kubelet = Kubelet()
    host = host_of(config, kubelet)
    return host, Poller(kubelet, client, host.calls, config["kubelet.poll-interval"])


def guards(config: Config) -> tuple[Callable[[], Any] | None, Credentials | None]:
    """How to make a TLS context, and who may ask. Raises ConfigError for files that cannot be used.

    Metrics name pods, mounts and processes: other machines see them only by somebody's decision.
    """
    cert, key, client_ca = (config[f"http.tls-{name}"] for name in ("cert", "key", "client-ca"))
    token, basic = config["http.token-file"], config["http.basic-file"]
    address = parse_address(config["listen"])
    if not (address.is_loopback or client_ca or token or basic or config["http.insecure"]):
        raise ConfigError(
            f"--listen {address} is open to other machines without authentication: "
            "give --http.token-file, --http.basic-file or --http.tls-client-ca, or accept it with --http.insecure"
        )
    tls = None
    if cert or key or client_ca:
        from agent.httpd.tls import server_context  # loads ssl

        tls = server_context(cert, key, client_ca).get
    return tls, Credentials(token, basic) if token or basic else None


def _share_one_arena() -> None:
    """Makes the threads allocate from one heap: glibc would give each its own."""
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has no arenas
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)


def _reachable(address: Address) -> str:
    return str(address) if address.host else f"127.0.0.1:{address.port}"
