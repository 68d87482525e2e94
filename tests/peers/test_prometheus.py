"""Real Prometheus servers scrape the agent, and promtool reads what it serves."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.peers.exposition import parse
from tests.peers.processes import OPENMETRICS, TEXT, Served, start_prometheus
from tests.tools import peers

FORMATS = {"text": TEXT, "openmetrics": OPENMETRICS}
SERVERS = [pytest.param(name, marks=pytest.mark.needs(name)) for name in ("prometheus2", "prometheus")]
WAIT_S = 20.0
# Series that come with what happens while two jobs scrape: another path or status answered, another connection lost.
COMING = ("headroom_http_", "headroom_collector_errors_total")


class _Preferring(BaseHTTPRequestHandler):
    """Passes a scrape on with an Accept header of the test's choice: the format is the first element of the path."""

    protocol_version = "HTTP/1.1"
    agent: Served

    def do_GET(self) -> None:
        format, _, path = self.path.removeprefix("/").partition("/")
        body = self.agent.get(f"/{path}", FORMATS[format])
        self.send_response(200)
        content_type = "application/openmetrics-text; version=1.0.0" if body.endswith(b"# EOF\n") else "text/plain"
        self.send_header("Content-Type", f"{content_type}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def preferring(agent: Served) -> Iterator[str]:
    """HOST:PORT of a proxy that asks the agent for one format."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Preferring,), {"agent": agent}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture(scope="module", params=SERVERS)
def prometheus(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, agent: Served, preferring: str
) -> Iterator[Served]:
    """A server that scraped three jobs: ``direct`` asks as it likes, the others for the format they are named by."""
    program = peers.path(request.param)
    assert program is not None, "the parameter says that it needs it"

    def job(name: str, path: str, target: str) -> dict[str, Any]:
        return {"job_name": name, "metrics_path": path, "static_configs": [{"targets": [target]}]}

    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [
            job("direct", "/metrics", "{}:{}".format(*agent.address)),
            *(job(format, f"/{format}/metrics", preferring) for format in FORMATS),
        ],
    }
    with start_prometheus(program, tmp_path_factory.mktemp("prometheus"), config) as running:
        assert eventually(lambda: len(query(running, "count_over_time(up[1m]) > 2")) == 3), running.log()
        yield running


def query(prometheus: Served, expression: str) -> list[dict[str, Any]]:
    """The result of an instant query."""
    found: list[dict[str, Any]] = prometheus.json(f"/api/v1/query?query={quote(expression)}")["data"]["result"]
    return found


def eventually(condition: Callable[[], Any]) -> Any:
    """The first true answer within the deadline; each asking is a request, which is pause enough."""
    deadline = time.monotonic() + WAIT_S
    pause = threading.Event()
    while True:
        answer = condition()
        if answer or time.monotonic() > deadline:
            return answer
        pause.wait(0.1)


def series_of(prometheus: Served, job: str) -> set[tuple[tuple[str, str], ...]]:
    """The label sets of a job's last scrape, without what the job itself adds."""
    result = query(prometheus, f'{{job="{job}",__name__!~"up|scrape_.*"}}')
    return {
        tuple(sorted((name, value) for name, value in one["metric"].items() if name not in ("job", "instance")))
        for one in result
        if not one["metric"]["__name__"].startswith(COMING)
    }


def test_every_scrape_succeeds(prometheus: Served, agent: Served) -> None:
    """``up`` is 1 in both formats, no scrape has an error, and as many samples arrive as the agent serves."""
    assert {one["metric"]["job"]: one["value"][1] for one in query(prometheus, "min_over_time(up[1m])")} == {
        "direct": "1",
        "text": "1",
        "openmetrics": "1",
    }
    targets = prometheus.json("/api/v1/targets")["data"]["activeTargets"]
    assert {target["lastError"] for target in targets} == {""}

    def served() -> int:
        return len(parse(agent.get("/metrics")).samples)

    def scraped() -> set[int]:
        names = ("scrape_samples_scraped", "scrape_samples_post_metric_relabeling")
        return {int(one["value"][1]) for name in names for one in query(prometheus, name)}

    assert eventually(lambda: scraped() == {served()}), (scraped(), served())
    assert not re.search(r"level=(warn|error)", prometheus.log(), re.IGNORECASE), prometheus.log()


def test_both_formats_are_the_same_series(prometheus: Served) -> None:
    """Text 0.0.4 and OpenMetrics give a server the same names and label sets."""
    direct, text, openmetrics = (series_of(prometheus, job) for job in ("direct", *FORMATS))
    assert text == openmetrics != set()
    assert direct == text


def test_both_formats_describe_them_alike(prometheus: Served) -> None:
    """HELP is the same in both formats, and so are the types that both have; OpenMetrics calls the others unknown.

    There a counter family is named without ``_total``, and only a counter named ``_total`` can be one.
    """
    said: dict[str, dict[str, tuple[str, str]]] = {format: {} for format in FORMATS}
    for format, families in said.items():
        target = quote(f'{{job="{format}"}}')
        for one in prometheus.json(f"/api/v1/targets/metadata?match_target={target}")["data"]:
            families[one["metric"]] = (one["type"], one["help"])
    assert len(said["text"]) == len(said["openmetrics"]) > 0
    for name, (kind, text) in said["text"].items():
        stays = kind in ("gauge", "histogram", "summary") or (kind == "counter" and name.endswith("_total"))
        plain = name.removesuffix("_total") if kind == "counter" and stays else name
        assert said["openmetrics"][plain] == (kind if stays else "unknown", text)


@pytest.mark.needs("promtool", "node_exporter")
def test_promtool_says_nothing_new(agent: Served, node_exporter: Served) -> None:
    """What ``promtool check metrics`` reports about the agent, it also reports about node_exporter."""
    program = peers.path("promtool")
    assert program is not None, "the test says that it needs promtool"

    def reported(exporter: Served) -> set[str]:
        done = subprocess.run(
            [program, "check", "metrics"], input=exporter.get("/metrics"), capture_output=True, check=False, timeout=30
        )
        assert b"error while linting" not in done.stderr, done.stderr
        return set((done.stdout + done.stderr).decode().splitlines())

    assert reported(agent) - reported(node_exporter) == set()


@pytest.mark.needs("promtool")
def test_promtool_would_object(tmp_path: Path) -> None:
    """The check above can fail: promtool reports a counter that is not named ``_total``."""
    program = peers.path("promtool")
    assert program is not None, "the test says that it needs promtool"
    body = b"# HELP a_seconds A.\n# TYPE a_seconds counter\na_seconds 1\n"
    done = subprocess.run([program, "check", "metrics"], input=body, capture_output=True, check=False, timeout=30)
    assert b"a_seconds" in done.stdout + done.stderr
