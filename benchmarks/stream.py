"""The stream: one aggregator under load, beside a bare gRPC echo that gets the same messages in the same run.

Each end is a process of its own. CPU is the whole server's, its store included, from the first record to the last
acknowledgement. Memory is what a stream adds to it. What push adds to an agent is beside what its libraries weigh in a
Python that has imported what the agent had before.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any, Final, NamedTuple

from benchmarks.load import SAMPLES
from benchmarks.measured import Measured, Scraper, free_port
from benchmarks.node import MIB, Row, our_process

SECONDS: Final = 20.0
BUSY: Final = (100, 1000.0)  # streams, and records a second of all
SPARSE: Final = (50, 50.0)
CORES_PER_MILLION_MAX, SPARSE_PERCENT_MAX, ACK_P99_MAX_S = 0.4, 8.0, 1.0
PUSH_MIB_MAX: Final = 16.0
PUSHED: Final = 20  # ticks, one a second, before memory is read
_RSS: Final = "print(int(open('/proc/self/statm').read().split()[1]))"
_BEFORE: Final = "import agent.app, agent.pull.pages, psutil, httptools"
_LIBRARIES: Final = "import google.protobuf.descriptor_pool, grpc.aio"


class Loaded(NamedTuple):
    """What a server did under a load: of a core, the slowest 1 % of the answers, and memory by stream."""

    core: float
    p99_s: float
    records_per_s: float
    stream_bytes: float


def rows() -> list[Row]:
    busy, sparse = (_both(*load) for load in (BUSY, SPARSE))
    million = busy[0].records_per_s * SAMPLES / 1e6
    peer = "(peer: a bare gRPC echo)"
    kib = [one.stream_bytes / 1024 for one in busy]
    return [
        Row(
            f"aggregator, 1,000 records of 1,500 samples a second: cores by million samples a second {peer}",
            "cores",
            busy[0].core / million,
            busy[1].core / million,
            most=CORES_PER_MILLION_MAX,
        ),
        Row("the same: 99 % are acknowledged within " + peer, "s", busy[0].p99_s, busy[1].p99_s, most=ACK_P99_MAX_S),
        Row(f"the same: memory by node of 1,500 series {peer}", "KiB", *kib),
        Row(
            f"aggregator, 50 records a second: of a core {peer}",
            "%",
            sparse[0].core * 100,
            sparse[1].core * 100,
            most=SPARSE_PERCENT_MAX,
        ),
        Row(
            "memory that push adds to an agent: RSS (peer: importing grpc.aio and protobuf)",
            "MiB",
            _pushing_bytes() / MIB,
            (_imported_bytes(f"{_BEFORE}; {_LIBRARIES}") - _imported_bytes(_BEFORE)) / MIB,
            most=PUSH_MIB_MAX,
        ),
    ]


def _pushing_bytes() -> int:
    """How much more an agent takes that streams than one that does not; both are scraped as often."""
    port, http = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="headroom-bench-") as place:
        listen = (f"--grpc-listen=127.0.0.1:{port}", f"--http-listen=127.0.0.1:{http}", f"--data-dir={place}/data")
        command = [sys.executable, "-m", "agent.cli", "aggregator", "--insecure", *listen]
        push = (
            f"--push.target=127.0.0.1:{port}",
            "--push.insecure",
            "--push.interval=1s",
            f"--spool.dir={place}/spool",
        )
        with Measured("target", command, http) as target, our_process() as pulled, our_process(*push) as pushed:
            target.first_answer_s("/healthz", 30)
            for agent in (pulled, pushed):
                agent.first_answer_s()
            with Scraper(pulled.port) as a, Scraper(pushed.port) as b:
                text = ""
                deadline_s = time.monotonic() + 3 * PUSHED
                while _acknowledged(text) < PUSHED:
                    if time.monotonic() > deadline_s:
                        raise TimeoutError(f"{_acknowledged(text)} acknowledgements of {PUSHED}")
                    time.sleep(0.5)
                    text = (a.get("/metrics") and b.get("/metrics")).decode()
            return pushed.rss_bytes() - pulled.rss_bytes()


def _acknowledged(text: str) -> float:
    return float((text.partition("\nheadroom_push_acks_total ")[2] or "0").split("\n")[0])


def _imported_bytes(imports: str) -> int:
    code = f"import ctypes; ctypes.CDLL(None).mallopt(-8, 1); {imports}; {_RSS}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout) * os.sysconf("SC_PAGE_SIZE")


def _both(streams: int, per_s: float) -> tuple[Loaded, Loaded]:
    with tempfile.TemporaryDirectory(prefix="headroom-bench-") as data:
        ours = _loaded(
            "aggregator", ("-m", "agent.cli", "aggregator", "--insecure", f"--data-dir={data}"), streams, per_s
        )
    return ours, _loaded("echo", ("-m", "benchmarks.load", "echo"), streams, per_s)


def _loaded(kind: str, command: tuple[str, ...], streams: int, per_s: float) -> Loaded:
    port = free_port()
    listen = (
        (f"--grpc-listen=127.0.0.1:{port}", f"--http-listen=127.0.0.1:{free_port()}")
        if kind == "aggregator"
        else (str(port),)
    )
    with Measured(f"{kind}{streams}", [sys.executable, *command, *listen], port) as server:
        _wait(port)
        before_bytes = server.rss_bytes()
        arguments = [f"127.0.0.1:{port}", str(streams), str(per_s), str(SECONDS), kind]
        with subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load", "load", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdout.readline()
            cpu_s = server.cpu_s()
            said: dict[str, Any] = json.loads(client.stdout.readline())
            core = (server.cpu_s() - cpu_s) / said["seconds"]
            grown = (server.rss_bytes() - before_bytes) / streams
            client.communicate("\n", timeout=30)
    if said["records"] != int(SECONDS * per_s / streams) * streams:
        raise ValueError(f"{said['records']} records were acknowledged")
    return Loaded(core, said["p99_s"], said["records"] / said["seconds"], grown)


def _wait(port: int, patience_s: float = 15.0) -> None:
    deadline_s = time.monotonic() + patience_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    for row in rows():
        print(f"{row.what}: {row.ours:.3f} {row.unit}, {row.peer:.3f}, {row.ratio:.2f} {row.goal} met={row.met}")
