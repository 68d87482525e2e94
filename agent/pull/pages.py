"""The agent's HTTP paths: metrics and their parts, probes, and a page that says what is where."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Container, Iterable, Mapping
from functools import partial
from typing import Final

from agent import __version__
from agent.engine import Engine
from agent.errors import SourceError
from agent.exposition.negotiate import CONTENT_TYPES, accepts_gzip, choose_format
from agent.exposition.render import Renderer
from agent.httpd.credentials import Credentials
from agent.httpd.message import Request, Response, refusal
from agent.model import PARTS, Batch, Block, Collector

PROBES: Final = ("/healthz", "/readyz")
_PART_OF: Final = {f"/metrics/{part}": part for part in PARTS}
METRICS: Final = ("/metrics", *_PART_OF)
EVICTION: Final = "/api/v1/eviction"
PATHS: Final = frozenset(("/", *PROBES, *METRICS, EVICTION))
MAIN_JOB: Final = frozenset(("stat", "meminfo"))  # the node collectors without which the agent is of no use
SIGNALS: Final = "headroom_eviction_available_"  # the same of an agent that serves nothing of the node


class Pages:
    """Answers requests. Threads: any number; the engine and the renderer look after themselves.

    ``max_age_s`` lets the parts share one snapshot: three scrapes of one node then cost one collection. ``documents``
    are made anew for each request, and served as JSON.
    """

    def __init__(
        self,
        engine: Engine,
        credentials: Credentials | None = None,
        max_age_s: float = 1.0,
        documents: Mapping[str, Callable[[], object]] = {},
    ) -> None:
        self._engine = engine
        self._credentials = credentials
        self._max_age_s = max_age_s
        self._renderer = Renderer()
        self._by_name = {collector.name: collector for collector in engine.collectors}
        self._routes: dict[str, Callable[[Request], Response]] = {
            "/": self._index,
            "/healthz": lambda _: Response(200, b"ok\n"),
            "/readyz": self._ready,
            **dict.fromkeys(METRICS, self._metrics),
            **{path: partial(_document, make) for path, make in documents.items()},
        }

    def __call__(self, request: Request) -> Response:
        route = self._routes.get(request.path)
        if self._credentials is not None and request.path not in PROBES and not self._credentials.allow(request):
            return refusal(401, "credentials are needed", *self._credentials.challenges())
        if route is None:
            return refusal(404, "no such path; / lists those there are")
        if request.method not in ("GET", "HEAD"):
            return refusal(405, f"{request.method} is not answered here; GET and HEAD are", "Allow: GET, HEAD")
        return route(request)

    def _metrics(self, request: Request) -> Response:
        try:
            chosen = self._chosen(request)
        except (LookupError, ValueError) as error:
            return refusal(400, str(error.args[0]))
        part = _PART_OF.get(request.path)
        if chosen is not None:
            batch = self._engine.collect(chosen)
        else:
            batch = self._engine.snapshot(self._max_age_s if part else 0.0)
        return self._rendered(batch.part(part) if part else batch.blocks, request)

    def _chosen(self, request: Request) -> list[Collector] | None:
        """The collectors that ``collect[]`` names, or all but those that ``exclude[]`` names; None for all."""
        parameters = request.parameters()
        collect = [value for name, value in parameters if name == "collect[]"]
        exclude = [value for name, value in parameters if name == "exclude[]"]
        if collect and exclude:
            raise LookupError("collect[] and exclude[] cannot be combined")
        if unknown := [name for name in (*collect, *exclude) if name not in self._by_name]:
            raise LookupError(f"no collector named {unknown[0]!r} is enabled")
        if not (collect or exclude):
            return None
        return [c for c in self._engine.collectors if (c.name in collect if collect else c.name not in exclude)]

    def _rendered(self, blocks: Iterable[Block], request: Request) -> Response:
        format = choose_format(request.headers.get("accept", ""))
        body = self._renderer.render(blocks, format)
        headers: tuple[str, ...] = ("Vary: Accept, Accept-Encoding",)
        if accepts_gzip(request.headers.get("accept-encoding", "")):
            squeezer = zlib.compressobj(1, zlib.DEFLATED, 31)
            body = squeezer.compress(body) + squeezer.flush()
            headers = ("Content-Encoding: gzip", *headers)
        return Response(200, body, CONTENT_TYPES[format], headers)

    def _ready(self, _: Request) -> Response:
        """Ready while the main job works."""
        if works(self._by_name, self._engine.snapshot(10.0)):
            return Response(200, b"ready\n")
        return refusal(503, "no kernel file of the node can be read; headroom doctor says which")

    def _index(self, _: Request) -> Response:
        items = "".join(f'<li><a href="{path}">{path}</a></li>' for path in sorted(self._routes.keys() - {"/"}))
        page = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Headroom</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:3em auto;padding:0 1em}}</style>
<h1>Headroom {__version__}</h1><p>How far this node is from evicting pods.</p><ul>{items}</ul></html>
"""
        return Response(200, page.encode(), "text/html; charset=utf-8")


def works(enabled: Container[str], batch: Batch) -> bool:
    """Whether a node's CPU or memory was read; where neither is served, whether an eviction signal was; where that is
    not either, whether anything was."""
    if any(name in enabled for name in MAIN_JOB):
        return bool(batch.succeeded & MAIN_JOB)
    if "eviction" in enabled:
        return any(block.family.name.startswith(SIGNALS) for block in batch.blocks)
    return bool(batch.succeeded)


def _document(make: Callable[[], object], _: Request) -> Response:
    import json  # only for who asks

    try:
        made = make()
    except SourceError as error:
        return refusal(503, str(error))
    return Response(200, json.dumps(made, indent=1).encode() + b"\n", "application/json")
