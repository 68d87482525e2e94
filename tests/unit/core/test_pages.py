"""The agent's HTTP paths, without sockets."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from agent.engine import Engine
from agent.errors import Gone, Overdue
from agent.httpd.credentials import Credentials
from agent.httpd.message import Request
from agent.model import Declared, Family, Part, Writer
from agent.pull.pages import Pages


class Fake:
    """A collector of one gauge; ``broken`` makes it fail."""

    def __init__(self, name: str, family: str, part: Part = "node") -> None:
        self.name = name
        self.part: Part = part
        self.family = Family(family, "gauge", "A value.")
        self.families: Declared = (self.family,)
        self.calls = 0
        self.broken = False

    def collect(self, out: Writer) -> None:
        self.calls += 1
        if self.broken:
            raise Gone(self.name)
        out.one(self.family, self.calls)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def time_s(self) -> float:
        return self.now

    monotonic_s = time_s


class Site:
    """Pages over three fake collectors and a clock that stands still. ``document`` is what ``/document`` gives."""

    def __init__(self, credentials: Credentials | None = None) -> None:
        self.document: object = {"made": 0}
        self.stat = Fake("stat", "node_stat")
        self.pods = Fake("pods", "container_pods", "cadvisor")
        self.ours = Fake("ours", "headroom_ours", "headroom")
        self.clock = Clock()
        engine = Engine([self.stat, self.pods, self.ours], self.clock)  # type: ignore[arg-type]
        self.pages = Pages(engine, credentials, documents={"/document": self.make})

    def make(self) -> object:
        if isinstance(self.document, Exception):
            raise self.document
        return self.document

    def ask(self, target: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        path, _, query = target.partition("?")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = self.pages(Request(method, path, query, named, True))
        return response.status, response.body.decode()


def names(text: str) -> set[str]:
    return {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}


def test_every_scrape_of_metrics_collects() -> None:
    """/metrics is collected at the scrape, not on a timer and not from a cache."""
    site = Site()
    assert "node_stat 1\n" in site.ask("/metrics")[1]
    assert "node_stat 2\n" in site.ask("/metrics")[1]


def test_the_parts_are_of_one_snapshot() -> None:
    """Three parts asked for within the shared age cost one collection, are disjoint, and are the whole together."""
    site = Site()
    parts = [names(site.ask(f"/metrics/{part}")[1]) for part in ("node", "cadvisor", "headroom")]
    assert site.stat.calls == 1
    assert [sorted(n for n in part if n.endswith(("stat", "pods", "ours"))) for part in parts] == [
        ["node_stat"],
        ["container_pods"],
        ["headroom_ours"],
    ]
    assert set.union(*parts) == names(site.ask("/metrics")[1])
    site.clock.now += 1.5
    site.ask("/metrics/node")
    assert site.stat.calls == 3


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("collect[]=stat", {"node_stat"}),
        ("collect%5B%5D=stat&collect%5B%5D=pods", {"node_stat", "container_pods"}),
        ("exclude[]=stat", {"container_pods", "headroom_ours"}),
        ("unrelated=1", {"node_stat", "container_pods", "headroom_ours"}),
    ],
)
def test_collect_and_exclude_choose(query: str, found: set[str]) -> None:
    """``collect[]`` runs only those, ``exclude[]`` all but those."""
    site = Site()
    status, text = site.ask(f"/metrics?{query}")
    assert status == 200
    assert {name for name in names(text) if name in ("node_stat", "container_pods", "headroom_ours")} == found
    assert site.stat.calls == (1 if "node_stat" in found else 0)


@pytest.mark.parametrize(
    "query", ["collect[]=nothing", "exclude[]=nothing", "collect[]=stat&exclude[]=pods", "collect[]=stat&" * 300]
)
def test_a_choice_that_cannot_be_made_is_refused(query: str) -> None:
    """Unknown names and contradictions are 400 with one line that says why."""
    status, text = Site().ask(f"/metrics?{query}")
    assert status == 400
    assert text.count("\n") == 1


def test_unknown_paths_and_methods_get_their_status() -> None:
    """404, 405 with Allow, and nothing is collected for either."""
    site = Site()
    assert [site.ask(path)[0] for path in ("/metric", "/metrics/", "/metrics/x", "/../etc/passwd", "//")] == [404] * 5
    assert [site.ask("/metrics", method)[0] for method in ("POST", "PUT", "DELETE", "OPTIONS", "CONNECT")] == [405] * 5
    assert site.stat.calls == 0


def test_ready_means_that_the_main_job_works() -> None:
    """/readyz is 503 while the node's kernel files cannot be read; /healthz says only that we answer."""
    site = Site()
    assert site.ask("/readyz") == (200, "ready\n")
    site.stat.broken = True
    site.clock.now += 60
    assert site.ask("/readyz")[0] == 503
    assert site.ask("/healthz") == (200, "ok\n")


def test_gzip_and_openmetrics_are_negotiated() -> None:
    """A scraper gets the format and encoding that it asked for."""
    site = Site()
    headers = {"accept": "application/openmetrics-text;version=1.0.0", "accept-encoding": "gzip"}
    response = site.pages(Request("GET", "/metrics", "", headers, True))
    assert gzip.decompress(response.body).endswith(b"# EOF\n")
    assert "Content-Encoding: gzip" in response.headers
    assert response.content_type.startswith("application/openmetrics-text; version=1.0.0")


def test_credentials_guard_all_but_the_probes(tmp_path: Path) -> None:
    """Without the token there is nothing, not even a 404; the kubelet's probes carry no credentials."""
    (tmp_path / "token").write_text("secret\n")
    site = Site(Credentials(str(tmp_path / "token"), ""))
    assert [site.ask(path)[0] for path in ("/", "/metrics", "/nowhere")] == [401] * 3
    assert [site.ask(path)[0] for path in ("/healthz", "/readyz")] == [200, 200]
    assert site.ask("/metrics", authorization="Bearer secret")[0] == 200


def test_the_index_links_every_path() -> None:
    """A person who opens / finds what there is."""
    page = Site().ask("/")[1]
    for path in ("/metrics", "/metrics/node", "/metrics/cadvisor", "/metrics/headroom", "/healthz", "/readyz"):
        assert f'href="{path}"' in page


def test_a_document_is_made_for_each_request() -> None:
    """As JSON, also for HEAD; what cannot be known now is 503 with the reason."""
    site = Site()
    assert site.ask("/document") == (200, '{\n "made": 0\n}\n')
    site.document = [1]
    response = site.pages(Request("HEAD", "/document", "", {}, True))
    assert (response.status, response.content_type, response.body) == (200, "application/json", b"[\n 1\n]\n")
    site.document = Overdue("eviction", "stuck")
    status, text = site.ask("/document")
    assert (status, "eviction: stuck" in text) == (503, True)
    assert site.stat.calls == 0


def test_a_document_is_guarded_and_listed(tmp_path: Path) -> None:
    """Like every other path."""
    (tmp_path / "token").write_text("secret\n")
    site = Site(Credentials(str(tmp_path / "token"), ""))
    assert site.ask("/document")[0] == 401
    assert site.ask("/document", authorization="Bearer secret")[0] == 200
    assert site.ask("/document", "POST", authorization="Bearer secret")[0] == 405
    assert 'href="/document"' in site.ask("/", authorization="Bearer secret")[1]
