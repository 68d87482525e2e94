"""A real Prometheus pulls what a real agent pushed: it finds the node, has its samples, and sees it end."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.aggregator.running import Running, start_aggregator
from tests.peers.processes import Served, start_agent, start_prometheus
from tests.peers.test_prometheus import query
from tests.stream.waiting import until
from tests.stream.witness import SHARING, Seen, look, look_in_both_formats
from tests.tools import peers

PAGE = "/clusters/default/nodes/n1/metrics"
BATCHES = 15  # more than a keyframe is apart from the next
STALE_S = 45.0
ITS_OWN = '{instance="n1",__name__!~"up|scrape_.*"}'


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with start_aggregator(tmp_path / "data") as one:
        yield one


@pytest.fixture
def agent(running: Running, tmp_path: Path) -> Iterator[Served]:
    flags = ("--push.insecure", "--push.target", running.grpc, "--push.interval", "500ms", "--node-name", "n1")
    with start_agent(*flags, "--spool.dir", str(tmp_path / "spool"), *SHARING) as one:
        until(lambda: running.request(PAGE).status == 200)
        yield one


def test_the_exposition_is_the_agents_own(running: Running, agent: Served) -> None:
    """Batch after batch of this node, at the agent and at the aggregator: byte for byte, each part, in both formats."""
    ours: dict[str, Seen] = {}
    theirs: dict[str, Seen] = {}

    def both() -> bool:
        for seen, found in ((ours, look_in_both_formats(agent)), (theirs, look_in_both_formats(running, PAGE))):
            if found:
                seen[found.time] = found
        return len(ours.keys() & theirs.keys()) >= BATCHES

    until(both, 60)
    for time_s in ours.keys() & theirs.keys():
        assert theirs[time_s].texts == ours[time_s].texts
        assert theirs[time_s].texts["node"].count(b"\n") > 1000
        assert theirs[time_s].texts["headroom"].count(b"\n") > 100


@pytest.fixture
def prometheus(running: Running, agent: Served, tmp_path: Path) -> Iterator[Served]:
    """Once it has scraped the node twice; it asks for the targets once a minute, as by default."""
    program = peers.path("prometheus")
    assert program is not None
    place = tmp_path / "prometheus"
    place.mkdir()
    job = {"job_name": "nodes", "http_sd_configs": [{"url": "http://{}:{}/sd".format(*running.address)}]}
    config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": [job]}
    with start_prometheus(program, place, config) as one:
        until(lambda: query(one, 'sum_over_time(up{instance="n1"}[1m]) >= 2'), 30)
        yield one


def at(prometheus: Served, expression: str, time_s: float) -> list[float]:
    """Values of an instant query, by the server's clock, which is ours."""
    path = f"/api/v1/query?query={quote(expression)}&time={time_s}"
    return [float(one["value"][1]) for one in prometheus.json(path)["data"]["result"]]


def check_end(prometheus: Served, before_s: float, seconds: float) -> None:
    """``up 0`` is recorded and every series of the node ends: nothing is found of it, within the five minutes in which
    a series that merely had no newer sample still would be."""
    until(lambda: at(prometheus, 'up{instance="n1"}', time.time()) == [0.0], seconds)
    assert at(prometheus, f"count({ITS_OWN})", time.time()) == []
    assert at(prometheus, f"count({ITS_OWN})", before_s)[0] > 300
    assert at(prometheus, f"count(last_over_time({ITS_OWN}[5m]))", time.time())[0] > 300, "it has them, and they ended"
    ((_, values),) = [
        (one["metric"], [float(value) for _, value in one["values"]])
        for one in query(prometheus, 'up{instance="n1"}[5m]')
    ]
    assert sorted(set(values)) == [0.0, 1.0]
    assert values == sorted(values, reverse=True), "it was up, then it was not"


@pytest.mark.needs("prometheus")
def test_an_agent_that_is_stopped(running: Running, agent: Served, prometheus: Served) -> None:
    """At once: it says goodbye."""
    labels = query(prometheus, "node_time_seconds")[0]["metric"]
    assert labels == {
        "__name__": "node_time_seconds",
        "job": "headroom",
        "instance": "n1",
        "node": "n1",
        "cluster": "default",
    }
    seen = look(running, PAGE)
    assert seen is not None
    scraped = at(prometheus, 'scrape_samples_scraped{instance="n1"}', time.time())
    assert abs(scraped[0] - len(seen.samples)) < 30, "all of the page; series come and go"
    before_s = time.time()
    assert agent.stop() == 0
    check_end(prometheus, before_s, 20)
    assert running.node("n1")["state"] == "gone"


@pytest.mark.slow
@pytest.mark.needs("prometheus")
def test_an_agent_that_is_killed(running: Running, agent: Served, prometheus: Served) -> None:
    """After 45 s in which nothing came of it, and not before."""
    before_s = time.time()
    agent.process.send_signal(signal.SIGKILL)
    agent.process.wait()
    check_end(prometheus, before_s, STALE_S + 20)
    assert time.time() - before_s >= STALE_S - 1
    assert running.node("n1")["state"] == "stale"
    print(f"killed, and up 0 after {time.time() - before_s:.1f} s")
