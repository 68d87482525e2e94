"""What the pull-only agent does not load, because memory is imports."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.peers.processes import OPENMETRICS, REPOSITORY, TEXT, start_agent

# Over plain HTTP and without a kubelet none of these is needed, and each costs 1 to 13 MiB.
HEAVY = {
    "ssl",
    "grpc",
    "asyncio",
    "prometheus_client",
    "logging",
    "dataclasses",
    "http.server",
    "google.protobuf",
    "jeepney",
}
_IMPORT = re.compile(r"^import time:\s+\d+ \|\s+\d+ \|\s+(\S+)$", re.MULTILINE)


def test_the_pull_only_agent_is_light() -> None:
    """An agent with its default collectors that was scraped in both formats has loaded none of the heavy modules."""
    with start_agent(python=("-X", "importtime")) as agent:  # the interpreter itself says what it imports
        for path in ("/metrics", "/metrics/node", "/healthz", "/readyz", "/"):
            agent.get(path, TEXT)
            agent.get(path, OPENMETRICS)
        loaded = set(_IMPORT.findall(agent.log()))
    assert {"agent.pull.pages", "agent.sources.meminfo", "psutil"} <= loaded, "the list is of this process"
    assert loaded & HEAVY == set()


def test_an_agent_that_pulls_only_loads_nothing_of_the_stream() -> None:
    """Without a target and a spool no module of their rooms is loaded."""
    with start_agent(python=("-X", "importtime")) as agent:
        agent.get("/metrics", TEXT)
        loaded = set(_IMPORT.findall(agent.log()))
    assert [name for name in loaded if name.startswith(("agent.push", "agent.wire", "agent.aggregator"))] == []


def test_an_agent_that_spools_only_loads_no_grpc(tmp_path: Path) -> None:
    """Writing records needs protobuf, and neither grpc nor an event loop nor TLS."""
    with start_agent("--spool.dir", str(tmp_path / "spool"), python=("-X", "importtime")) as agent:
        agent.get("/metrics", TEXT)
        loaded = set(_IMPORT.findall(agent.log()))
    assert {"agent.push.sink", "agent.wire.encoder", "google.protobuf"} <= loaded
    assert loaded & (HEAVY - {"google.protobuf"}) == set()


def test_a_heavy_module_would_be_seen() -> None:
    """The interpreter's list shows what a command imports late: here ssl, which a TLS setting needs."""
    done = subprocess.run(
        [
            sys.executable,
            "-X",
            "importtime",
            "-m",
            "agent.cli",
            "agent",
            "--http.tls-cert",
            __file__,
            "--http.tls-key",
            __file__,
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
        cwd=REPOSITORY,
    )
    assert done.returncode == 2, done.stderr[-500:]
    assert "ssl" in _IMPORT.findall(done.stderr)
