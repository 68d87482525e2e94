"""The whole agent with a scripted kubelet that answers as a recorded one did: what it serves of evictions."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.eviction.signals import from_summary
from agent.sources.kubelet.summary import parse_summary
from tests.kubelet.bodies import body, said
from tests.kubelet.scripted import DOCUMENTS, ScriptedKubelet, hang, says
from tests.peers.exposition import Scrape, parse
from tests.peers.processes import OPENMETRICS, Served, start_agent
from tests.tools import peers

API = "/api/v1/eviction"
QUIET = ("--collector.disable-defaults", "--collector.eviction")
START = "headroom_eviction_"
PATIENCE_S = 20.0
RANKS = f'{START}rank{{namespace="([^"]*)",pod="([^"]*)",signal="memory.available",source="kubelet"}}'


@pytest.fixture
def kubelet() -> Iterator[ScriptedKubelet]:
    """Without TLS, and without a word until it is told what to say."""
    scripted = ScriptedKubelet()
    scripted.script = dict.fromkeys(DOCUMENTS, says(503, b"", content_type="text/plain"))
    yield scripted
    scripted.stop()


def tell(kubelet: ScriptedKubelet, recording: str) -> None:
    kubelet.script |= {path: says(200, body(recording, name)) for path, name in DOCUMENTS.items()}


def headroom(agent: Served, happened: Callable[[Scrape], bool]) -> Scrape:
    """The page of the agent's own metrics, as soon as it is so."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        scrape = parse(agent.get("/metrics/headroom"))
        if happened(scrape):
            return scrape
        assert time.monotonic() < deadline_s, scrape.samples
        assert not agent.ended_within(0.05)


def told(scrape: Scrape) -> bool:
    """The watch has looked since the kubelet answered."""
    return any('origin="configz"' in series for series in scrape.samples) and by_kubelet(scrape)


def by_kubelet(scrape: Scrape) -> bool:
    return f'{START}available_bytes{{signal="memory.available",source="kubelet"}}' in scrape.samples


def status(agent: Served, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes, str]:
    connection = http.client.HTTPConnection(*agent.address, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.getheader("Content-Type", "")
    finally:
        connection.close()


@pytest.mark.parametrize("recording", ["memory-pressure", "imagefs-is-nodefs"])
def test_both_sources_are_served(kubelet: ScriptedKubelet, recording: str) -> None:
    """The kubelet's signals to the byte, beside our own; the thresholds are those of its configuration."""
    tell(kubelet, recording)
    with start_agent(*QUIET, "--kubelet.url", kubelet.url) as agent:
        samples = headroom(agent, told).samples
    for signal, one in from_summary(parse_summary(body(recording, "stats_summary"))).items():
        unit = {"inodesFree": "inodes"}.get(signal.partition(".")[2], "pids" if signal == "pid.available" else "bytes")
        labels = f'{{signal="{signal}",source="kubelet"}}'
        assert samples[f"{START}available_{unit}{labels}"] == one.available
        assert samples[f"{START}capacity_{unit}{labels}"] == one.capacity
    assert f'{START}available_bytes{{signal="memory.available",source="direct"}}' in samples
    thresholds = [series for series in samples if series.startswith(f"{START}threshold_b")]
    assert thresholds
    assert all('origin="configz"' in series for series in thresholds)
    configured = said(recording, "configz")["kubeletconfig"]["evictionHard"]
    memory = f'{START}threshold_bytes{{kind="hard",origin="configz",signal="memory.available"}}'
    number, unit = re.fullmatch(r"(\d+)([MG]i)", configured["memory.available"]).groups()  # type: ignore[union-attr]
    assert samples[memory] == int(number) << {"Mi": 20, "Gi": 30}[unit]


def test_the_order_is_the_kubelet_s(kubelet: ScriptedKubelet) -> None:
    """Each place once, beginning with 1, and by real pods; the API tells the same."""
    tell(kubelet, "memory-pressure")
    with start_agent(*QUIET, "--kubelet.url", kubelet.url) as agent:
        samples = headroom(agent, told).samples
        document = agent.json(API)
    ranks = {found.groups(): value for series, value in samples.items() if (found := re.fullmatch(RANKS, series))}
    assert sorted(ranks.values()) == list(range(1, len(ranks) + 1))
    assert len(ranks) >= 3
    order = [f"{namespace}/{pod}" for namespace, pod in sorted(ranks, key=lambda name: ranks[name])]
    memory = next(one for one in document["signals"] if one["signal"] == "memory.available")
    assert memory["next_by_source"]["kubelet"] == order
    assert document["origin"] == "configz"


@pytest.mark.needs("promtool")
def test_prometheus_reads_it(kubelet: ScriptedKubelet) -> None:
    """promtool has nothing to say about names and types."""
    program = peers.path("promtool")
    assert program
    tell(kubelet, "memory-pressure")
    with start_agent(*QUIET, "--kubelet.url", kubelet.url) as agent:
        headroom(agent, told)
        text = agent.get("/metrics/headroom")
        assert agent.get("/metrics/headroom", OPENMETRICS).endswith(b"# EOF\n")
    done = subprocess.run([program, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stderr.decode()) == (0, "")


def test_a_configuration_that_goes_away_stays_in_force(kubelet: ScriptedKubelet) -> None:
    """What the kubelet last said is better than the defaults."""
    tell(kubelet, "memory-pressure")
    with start_agent(*QUIET, "--kubelet.url", kubelet.url, "--kubelet.poll-interval", "1s") as agent:
        headroom(agent, told)
        kubelet.script["/configz"] = says(404, b"404 page not found", content_type="text/plain")
        lost = 'headroom_kubelet_requests_total{code="404",path="/configz"}'
        samples = headroom(agent, lambda scrape: scrape.samples.get(lost, 0) >= 2).samples
    origins = {found[1] for series in samples if (found := re.search(r',origin="(\w+)",signal=', series))}
    assert origins == {"configz"}


def test_a_kubelet_that_comes_later(kubelet: ScriptedKubelet) -> None:
    """Until it answers there are our own signals against the defaults; a hang changes nothing of that."""
    kubelet.script = dict.fromkeys(DOCUMENTS, hang)
    with start_agent(*QUIET, "--kubelet.url", kubelet.url) as agent:
        samples = headroom(agent, lambda scrape: True).samples
        assert f'{START}available_bytes{{signal="memory.available",source="direct"}}' in samples
        assert [series for series in samples if 'source="kubelet"' in series] == []
        assert {found[1] for series in samples if (found := re.search(r',origin="(\w+)",signal=', series))} == {
            "default"
        }
        assert agent.stop() == 0


def test_the_document_is_served(tmp_path: Path) -> None:
    """As JSON, to GET and HEAD; it is on the index; without credentials it is nobody's business."""
    token = tmp_path / "token"
    token.write_text("secret\n")
    allowed = {"Authorization": "Bearer secret"}
    with start_agent(*QUIET, "--node-name", "n", "--http.token-file", str(token)) as agent:
        code, text, kind = status(agent, API, **allowed)
        assert (code, kind) == (200, "application/json")
        assert json.loads(text)["node"] == "n"
        assert status(agent, API, "HEAD", **allowed)[:2] == (200, b"")
        assert status(agent, API, "POST", **allowed)[0] == 405
        assert API.encode() in status(agent, "/", **allowed)[1]
        assert [status(agent, API, method)[0] for method in ("GET", "HEAD")] == [401, 401]


@pytest.mark.parametrize("flags", [("--no-collector.eviction",), ("--collector.disable-defaults", "--collector.stat")])
def test_without_the_collector_there_is_no_document(flags: tuple[str, ...]) -> None:
    """Switched off by name or with the defaults, the path is unknown, and nothing of it is served."""
    with start_agent(*flags) as agent:
        assert status(agent, API)[0] == 404
        assert API.encode() not in status(agent, "/")[1]
        assert START.encode() not in agent.get("/metrics")
