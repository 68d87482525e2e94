"""The whole agent with a scripted kubelet: what it serves, and what it loads."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.kubelet import scripted
from tests.kubelet.conftest import Start
from tests.peers.processes import Served, start_agent

pytestmark = pytest.mark.needs("openssl")
QUIET = ("--collector.disable-defaults", "--collector.loadavg")
_IMPORT = re.compile(r"^import time:\s+\d+ \|\s+\d+ \|\s+(\S+)$", re.MULTILINE)
UNWANTED = {"http.client", "email", "asyncio", "logging", "dataclasses", "urllib.request", "encodings.idna", "datetime"}


def headroom(agent: Served, expected: str, seconds: float = 10.0) -> str:
    """The page of the agent's own metrics, once it has this series."""
    deadline_s = time.monotonic() + seconds
    while True:
        text = agent.get("/metrics/headroom").decode()
        if re.search(f"^{re.escape(expected)}", text, re.MULTILINE):
            return text
        assert time.monotonic() < deadline_s, text
        assert not agent.ended_within(0.02)


@pytest.mark.parametrize("certificate", ["signed", ""])
def test_an_agent_asks_its_kubelet(start: Start, certificates: Path, certificate: str) -> None:
    """In the background; over TLS it loads ssl, without it does not, and neither loads what is heavy."""
    kubelet = start(certificate)
    flags = (*QUIET, "--kubelet.url", kubelet.url, "--kubelet.ca-file", str(certificates / "ca.pem"))
    with start_agent(*flags, python=("-X", "importtime")) as agent:
        text = headroom(agent, 'headroom_kubelet_requests_total{path="/configz",code="200"} 1')
        loaded = set(_IMPORT.findall(agent.log()))
        assert agent.stop() == 0
    for path in scripted.DOCUMENTS:
        assert f'headroom_kubelet_requests_total{{path="{path}",code="200"}} 1' in text
    assert 'headroom_kubelet_stat_age_seconds{kind="node_memory"}' in text
    assert "headroom_kubelet_errors_total" not in text
    assert "json" in loaded
    assert ("ssl" in loaded) == bool(certificate)
    assert loaded & UNWANTED == set()


def test_the_eviction_watch_wants_the_flags(start: Start, tmp_path: Path) -> None:
    """Where no process of the kubelet is to be seen, its ``root-dir`` is asked for, and is where nodefs is."""
    kubelet = start("")
    flags = f"kubelet flagz\nroot-dir: {tmp_path}\n".encode()
    kubelet.script[scripted.FLAGZ] = scripted.says(200, flags, content_type="text/plain")
    asked = ("--kubelet.url", kubelet.url, "--kubelet.poll-interval", "1s")
    with start_agent(*QUIET, "--collector.eviction", *asked) as agent:
        headroom(agent, 'headroom_kubelet_requests_total{path="/flagz",code="200"} 1')
        deadline_s = time.monotonic() + 10
        while f"{tmp_path} (flagz, ".encode() not in agent.get("/api/v1/eviction"):
            assert time.monotonic() < deadline_s
            assert not agent.ended_within(0.02)
        assert agent.stop() == 0
    assert [path for path, _ in kubelet.requests].count(scripted.FLAGZ) == 1


def test_beside_others_only_our_own_names_are_served(start: Start) -> None:
    """With ``--profile beside``: eviction and the storage of pods, and no name that another exporter has."""
    kubelet = start("")
    with start_agent("--profile", "beside", "--kubelet.url", kubelet.url) as agent:
        headroom(agent, "headroom_pod_ephemeral_storage_used_bytes{")
        page = agent.get("/metrics").decode()
        assert agent.get("/readyz") == b"ready\n"
        assert agent.stop() == 0
    names = {re.split("[{ ]", line)[0] for line in page.splitlines() if not line.startswith("#")}
    assert {name for name in names if not name.startswith(("headroom_", "process_"))} == set()
    assert {"headroom_eviction_available_bytes", "headroom_pod_ephemeral_storage_used_bytes"} <= names


def test_a_silent_kubelet_holds_up_no_scrape(start: Start, certificates: Path) -> None:
    """A hang costs the kubelet's documents and nothing else; the agent also ends at once."""
    kubelet = start("signed")
    kubelet.script = dict.fromkeys(scripted.DOCUMENTS, scripted.hang)
    flags = (*QUIET, "--kubelet.url", kubelet.url, "--kubelet.ca-file", str(certificates / "ca.pem"))
    with start_agent(*flags) as agent:
        began_s = time.monotonic()
        assert b"node_load1 " in agent.get("/metrics")
        assert time.monotonic() - began_s < 2
        assert agent.stop() == 0


def test_an_unverified_kubelet_is_warned_of(start: Start) -> None:
    """At every start."""
    kubelet = start("bare")
    with start_agent(*QUIET, "--kubelet.url", kubelet.url, "--kubelet.insecure-skip-verify") as agent:
        headroom(agent, 'headroom_kubelet_requests_total{path="/pods",code="200"} 1')
        assert "is not verified" in agent.log()
