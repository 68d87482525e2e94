"""The aggregator's HTTP paths, by aiohttp, in the loop of the streams."""

from __future__ import annotations

import asyncio
import hmac
import json
import socket
import ssl
import time
import zlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from agent import log
from agent.aggregator import documents
from agent.aggregator.known import id_of
from agent.aggregator.listening import Address, Files
from agent.aggregator.views import Views
from agent.errors import ConfigError
from agent.exposition.negotiate import CONTENT_TYPES, accepts_gzip, choose_format
from agent.model import PARTS, Part

PROBES: Final = ("/healthz", "/readyz")
EVENTS_MAX: Final = 1000
LOOK_AGAIN_S: Final = 5.0
_VARY: Final = "Accept, Accept-Encoding"
_PART: Final[dict[str, Part]] = {part: part for part in PARTS}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Pages:
    """Answers requests. ``ready`` says what is wrong, or nothing."""

    def __init__(
        self, views: Views, registry: CollectorRegistry, ready: Callable[[], str], tokens: Files | None
    ) -> None:
        self._views = views
        self._registry = registry
        self._ready = ready
        self._tokens = tokens

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._guard], client_max_size=64 << 10)
        node = "/clusters/{cluster}/nodes/{node}/metrics"
        app.add_routes(
            [
                web.get("/", self._index),
                web.get("/metrics", self._own),
                web.get(node, self._node),
                web.get(node + "/{part}", self._node),
                web.get("/sd", self._targets),
                web.get("/api/v1/nodes", self._nodes),
                web.get("/api/v1/events", self._events),
                web.get("/healthz", self._healthy),
                web.get("/readyz", self._is_ready),
            ]
        )
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._tokens is None or request.path in PROBES or self._allowed(request):
            return await handler(request)
        challenge = {"WWW-Authenticate": 'Bearer realm="headroom"'}
        return web.Response(status=401, text="credentials are needed\n", headers=challenge)

    def _allowed(self, request: web.Request) -> bool:
        assert self._tokens is not None
        self._tokens.changed()
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        offered = given.strip().encode("utf-8", "replace")
        accepted = [line.strip() for line in self._tokens.content()[0].splitlines()]
        matches = [hmac.compare_digest(offered, one) for one in accepted if one and not one.startswith(b"#")]
        return scheme.lower() == "bearer" and any(matches)

    async def _index(self, _: web.Request) -> web.Response:
        return web.Response(text=documents.page(self._views, _now_ms()), content_type="text/html")

    async def _own(self, request: web.Request) -> web.Response:
        format = choose_format(request.headers.get("Accept", ""))
        generate = generate_openmetrics if format == "openmetrics" else generate_latest
        made: bytes = generate(self._registry)
        if not _takes_gzip(request):
            return _exposition(made, CONTENT_TYPES[format], False)
        squeezer = zlib.compressobj(1, zlib.DEFLATED, 31)
        return _exposition(squeezer.compress(made) + squeezer.flush(), CONTENT_TYPES[format], True)

    async def _node(self, request: web.Request) -> web.Response:
        """503 when it is stale: so Prometheus itself says ``up 0`` and ends the series."""
        names = request.match_info
        view = self._views.by_id.get(id_of(names["cluster"], names["node"]))
        if view is None or names.get("part", "node") not in _PART:
            raise web.HTTPNotFound(text="no such node; /api/v1/nodes lists those that are known\n")
        state = view.state(_now_ms())
        if state != "live" or not view.is_shown:
            raise web.HTTPServiceUnavailable(text=f"nothing new of this node: it is {state}\n")
        part = _PART[names["part"]] if "part" in names else None
        format = choose_format(request.headers.get("Accept", ""))
        gzip = _takes_gzip(request)
        return _exposition((view.gzipped if gzip else view.text)(part, format), CONTENT_TYPES[format], gzip)

    async def _targets(self, request: web.Request) -> web.Response:
        cluster = request.query.get("cluster")
        return _json(documents.targets(self._views, cluster, request.host, request.scheme, _now_ms()))

    async def _nodes(self, request: web.Request) -> web.Response:
        return _json(documents.nodes(self._views, request.query.get("cluster"), _now_ms()))

    async def _events(self, request: web.Request) -> web.Response:
        query = request.query
        limit = query.get("limit", str(EVENTS_MAX))
        if not (limit.isascii() and limit.isdigit() and len(limit) < 10):
            raise web.HTTPBadRequest(text="limit is not a number\n")
        most = min(int(limit), EVENTS_MAX)
        return _json(documents.events(self._views, query.get("cluster"), query.get("node"), most))

    async def _healthy(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _is_ready(self, _: web.Request) -> web.Response:
        wrong = self._ready()
        return web.Response(status=503 if wrong else 200, text=f"{wrong or 'ready'}\n")


class Listener:
    """A socket that serves the pages; with TLS, by the certificate that its files have now."""

    def __init__(self, pages: Pages, address: Address, tls: Files | None, paths: tuple[str, str, str]) -> None:
        self._runner = web.AppRunner(pages.application(), access_log=None, keepalive_timeout=75, shutdown_timeout=1)
        self._tls = tls
        self._paths = paths
        self._context = _context(*paths) if tls else None
        self._socket = _listening(address)
        self.address = Address(address.host, self._socket.getsockname()[1])
        self._site: web.SockSite | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        shown = self.address if self.address.host else Address("127.0.0.1", self.address.port)
        return f"{'https' if self._tls else 'http'}://{shown}"

    async def start(self) -> None:
        await self._runner.setup()
        await self._serve()
        if self._tls:
            self._watcher = asyncio.create_task(self._follow(self._tls))

    async def _serve(self) -> None:
        """On a copy of the socket: the listening itself has no gap."""
        before = self._site
        self._site = web.SockSite(self._runner, self._socket.dup(), ssl_context=self._context)
        await self._site.start()
        if before:
            await before.stop()

    async def _follow(self, tls: Files) -> None:
        while True:
            await asyncio.sleep(LOOK_AGAIN_S)
            if tls.changed():
                try:
                    self._context = _context(*self._paths)
                except ConfigError as error:
                    log.warn("the new certificate cannot be used; the former stays", error=error)
                else:
                    await self._serve()

    async def stop(self) -> None:
        if self._watcher:
            self._watcher.cancel()
        await self._runner.cleanup()
        self._socket.close()


def _context(certificate: str, key: str, client_ca: str) -> ssl.SSLContext:
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificate, key)
        if client_ca:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot use {certificate}, {key} {client_ca}: {error}") from None
    return context


def _listening(address: Address) -> socket.socket:
    try:
        if not address.host:
            return socket.create_server(("", address.port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128)
        family = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((address.host, address.port), family=family, backlog=128)
    except OSError as error:
        raise ConfigError(f"cannot listen on {address}: {error.strerror or error}") from None


def _exposition(body: bytes, content_type: str, gzip: bool) -> web.Response:
    headers = {"Content-Type": content_type, "Vary": _VARY} | ({"Content-Encoding": "gzip"} if gzip else {})
    return web.Response(body=body, headers=headers)


def _takes_gzip(request: web.Request) -> bool:
    return accepts_gzip(request.headers.get("Accept-Encoding", ""))


def _json(document: Any) -> web.Response:
    body = json.dumps(document, indent=1, allow_nan=False).encode() + b"\n"
    return web.Response(body=body, content_type="application/json")


def _now_ms() -> int:
    return int(time.time() * 1000)
