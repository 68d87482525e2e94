"""What the aggregator serves, as a real process asked over HTTP and by a real Prometheus."""

from __future__ import annotations

import gzip
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from agent.cli import main
from agent.exposition.negotiate import CONTENT_TYPES
from agent.model import Block, Family
from tests.aggregator.agent_end import AgentEnd, Told, hello
from tests.aggregator.running import Running, eventually, start_aggregator
from tests.peers.processes import OPENMETRICS, TEXT, Served, start_prometheus
from tests.tools import golden, peers
from tests.unit.wire.batches import FAMILIES, block

BLOCKS = (block(FAMILIES[0], {(): 0.5}), block(Family("headroom_x", "untyped", "X."), {(): 1}))
METRICS = "/clusters/default/nodes/worker-1/metrics"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with start_aggregator(tmp_path / "data") as one:
        yield one


class Node:
    """A node's stream, in ``with``; each tick is acknowledged before it returns."""

    def __init__(self, running: Running, name: str = "worker-1", cluster: str = "") -> None:
        self.told = Told(spool=1 + len(name) + len(cluster))
        self.end = AgentEnd(running.grpc)
        self.end.send(hello(self.told.listed(), node=name, cluster=cluster)).welcome()

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *_: object) -> None:
        self.end.__exit__()

    def tick(self, blocks: Sequence[Block]) -> None:
        if not self.told.last:
            self.end.send(self.told.header(blocks))
        self.end.send(self.told.tick(blocks)).acked(self.told, self.told.last)


def test_a_node_in_the_format_that_was_asked_for(running: Running) -> None:
    """Text, OpenMetrics, gzip and parts, as at the agent."""
    with Node(running) as node:
        node.tick(BLOCKS)
        text = running.request(METRICS)
        assert (text.status, text.headers["Content-Type"]) == (200, CONTENT_TYPES["text"])
        assert b"# TYPE headroom_x untyped\nheadroom_x 1\n" in text.body
        squeezed = running.request(METRICS, Accept_Encoding="gzip", Accept=OPENMETRICS)
        assert squeezed.headers["Content-Encoding"] == "gzip"
        assert squeezed.headers["Content-Type"] == CONTENT_TYPES["openmetrics"]
        assert gzip.decompress(squeezed.body) == running.request(METRICS, Accept=OPENMETRICS).body
        assert squeezed.headers["Vary"] == "Accept, Accept-Encoding"
        parts = [running.get(f"{METRICS}/{part}") for part in ("node", "cadvisor", "headroom")]
        assert b"".join(parts) == text.body
        assert parts[1] == b""
        assert running.get("/metrics", OPENMETRICS).endswith(b"# EOF\n")


def test_who_is_not_there(running: Running) -> None:
    """404 for what is unknown, 503 for a node that has nothing to show."""
    with Node(running):
        assert running.request(METRICS).status == 503
        for path in ("/clusters/default/nodes/worker-2/metrics", f"{METRICS}/other", "/clusters/a/nodes/b", "/x"):
            assert running.request(path).status == 404
    assert running.request("/api/v1/events?limit=x").status == 400


def test_a_stale_node_is_a_failed_scrape(tmp_path: Path) -> None:
    """After a restart it has not come yet: its state is what its last record's age says, and nothing is served."""
    with start_aggregator(tmp_path / "data") as running, Node(running) as node:
        node.tick(BLOCKS)
    (file,) = (tmp_path / "data").glob("*.sqlite")
    db = sqlite3.connect(file)
    db.execute("UPDATE nodes SET seen_unix_ms = seen_unix_ms - 46000")
    db.commit()
    db.close()
    with start_aggregator(tmp_path / "data") as running:
        assert running.node()["state"] == "stale"
        assert (running.request(METRICS).status, len(running.json("/sd"))) == (503, 1)


@pytest.mark.parametrize("which", golden.NODES, ids=lambda one: one.name)
def test_the_text_is_the_agents_own(running: Running, tmp_path: Path, which: golden.Recorded) -> None:
    """What a recorded node's agent would serve itself, byte for byte, in both formats."""
    directory = tmp_path / which.name
    directory.mkdir()
    blocks = golden.collect(which, directory)
    with Node(running) as node:
        for _ in range(2):
            node.tick(blocks)
        expected = golden.expositions(blocks)
        assert running.get(METRICS, TEXT) == expected["prom"]
        assert running.get(METRICS, OPENMETRICS) == expected["om"]


def test_targets(running: Running) -> None:
    """Of every node, or of one cluster's, as the asker reached us."""
    with Node(running) as one, Node(running, "worker-1", "prod") as two, Node(running, "a.b", "prod"):
        one.tick(BLOCKS)
        two.tick(BLOCKS)
        listed = running.json("/sd?cluster=prod")
        address = "{}:{}".format(*running.address)
        assert [target["targets"] for target in listed] == [[address], [address]]
        assert listed[1]["labels"] == {
            "__scheme__": "http",
            "__metrics_path__": "/clusters/prod/nodes/worker-1/metrics",
            "job": "headroom",
            "instance": "worker-1",
            "node": "worker-1",
            "cluster": "prod",
        }
        assert [target["labels"]["cluster"] for target in running.json("/sd")] == ["default", "prod", "prod"]
        states = {(node["cluster"], node["name"]): node["state"] for node in running.json("/api/v1/nodes")["nodes"]}
        assert states == {("default", "worker-1"): "live", ("prod", "a.b"): "never", ("prod", "worker-1"): "live"}


def test_the_page(running: Running) -> None:
    """Each node with its state, its worst margin and where its metrics are; texts of agents are escaped."""
    family = Family("headroom_eviction_margin_ratio", "gauge", "M.", ("signal",))
    with Node(running) as node:
        node.tick([block(family, {("<b>",): 0.25, ("memory.available",): 0.5})])
        page = running.get("/").decode()
    assert f'<td>live<td>0 s ago<td>&lt;b&gt; +25.0%<td><a href="{METRICS}">' in page


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.needs("root")
def test_a_full_disk(small_disk: Path) -> None:
    """Nothing is acknowledged and it is not ready, but what is live is shown; with room again all of it is taken."""
    with start_aggregator(small_disk / "data") as running, Node(running) as node:
        node.tick(BLOCKS)
        with (small_disk / "ballast").open("wb", 0) as file, pytest.raises(OSError, match="No space"):
            file.writelines([bytes(4096)] * 2000)
        big = [block(Family("node_x", "gauge", "X.", ("a",)), {(f"{n}-{n * 7919}",): n for n in range(3000)})]
        node.end.send(node.told.header(big), node.told.tick(big))
        for value in range(20):
            node.end.send(node.told.tick([*big, block(FAMILIES[0], {(): value})]))
        assert eventually(lambda: running.request("/readyz").status == 503)
        assert eventually(lambda: b"node_load1 19\n" in running.get(METRICS))
        assert running.node()["sessions"][0]["committed"] == 1
        (small_disk / "ballast").unlink()
        node.end.acked(node.told, 22)
        assert running.request("/readyz").status == 200
        assert running.metric("headroom_aggregator_commit_errors_total") > 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "--insecure"),
        (["--insecure", "--grpc.tls-cert=x"], "both --grpc.tls-cert and --grpc.tls-key"),
        (["--grpc.tls-cert=/none", "--grpc.tls-key=/none", "--grpc.tls-client-ca=/none"], "cannot read /none"),
        (["--insecure", "--tls-cert=/none", "--tls-key=/none", "--tls-client-ca=/none"], "--insecure believes"),
        (["--insecure", "--http-listen=0.0.0.0:0"], "--http.insecure"),
        (["--insecure", "--http-listen=x"], "HOST:PORT"),
        (["--insecure", "--http.token-file=/none"], "cannot read /none"),
        (["--insecure", "--http.tls-client-ca=/none"], "both --http.tls-cert and --http.tls-key"),
        (["--insecure", "--cluster=a/b"], "--cluster"),
    ],
)
def test_what_it_does_not_start_with(flags: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line that names the cure, and exit code 2."""
    assert main(["aggregator", "--data-dir=/none/at/all", *flags]) == 2
    assert said in capsys.readouterr().err


def test_a_port_or_a_store_that_is_taken(running: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, and not exit code 0."""
    assert main(["aggregator", "--insecure", f"--data-dir={tmp_path / 'data'}", "--http-listen=127.0.0.1:0"]) == 1
    assert "another process's store" in capsys.readouterr().err
    taken = (f"--grpc-listen={running.grpc}", "--http-listen=127.0.0.1:0")
    assert main(["aggregator", "--insecure", f"--data-dir={tmp_path / 'b'}", *taken]) == 2
    assert "cannot listen" in capsys.readouterr().err


@pytest.mark.needs("prometheus")
def test_a_real_prometheus(running: Running, tmp_path: Path) -> None:
    """It finds the nodes, has their series under their labels, and says ``up 0`` of one that never told anything."""
    program = peers.path("prometheus")
    assert program is not None
    place = tmp_path / "prometheus"
    place.mkdir()
    address = "{}:{}".format(*running.address)
    job = {"job_name": "nodes", "http_sd_configs": [{"url": f"http://{address}/sd", "refresh_interval": "1s"}]}
    config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": [job]}

    def query(prometheus: Served, expression: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = prometheus.json(f"/api/v1/query?query={quote(expression)}")["data"]["result"]
        return found

    with Node(running) as node, Node(running, "worker-2"), start_prometheus(program, place, config) as prometheus:
        node.tick(BLOCKS)
        assert eventually(lambda: len(query(prometheus, "up")) == 2 and query(prometheus, "up == 1"))
        ups = {one["metric"]["instance"]: one["value"][1] for one in query(prometheus, "up")}
        assert ups == {"worker-1": "1", "worker-2": "0"}
        (series,) = query(prometheus, "node_load1")
        assert series["value"][1] == "0.5"
        assert series["metric"] == {
            "__name__": "node_load1",
            "job": "headroom",
            "instance": "worker-1",
            "node": "worker-1",
            "cluster": "default",
        }
