"""``python -m benchmarks.record_corpus node|containers``: 60 rounds of collection, 10 s apart, for ``benchmarks.wire``.

``node`` is this machine with every default collector, under the load of ``_node_load``. ``containers`` is 100 real
cgroups in 50 pods whose processes all do ``_container_work``; the pods' names are those of ``benchmarks.whole``. Both
loads are plain and small: a web server's worth of files, sockets, processes and memory.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import multiprocessing
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from agent.collectors.containers import Containers
from agent.config.load import load
from agent.engine import Engine
from agent.model import Block, Collector
from agent.settings import AGENT, HOST, LOG
from agent.sources.host import Host
from agent.sources.kubelet.pods import parse_pods
from agent.sources.kubelet.slot import Document, Kubelet
from benchmarks import containers, whole
from benchmarks.corpus import CORPORA, Recorded, write
from benchmarks.measured import V1

TICKS, INTERVAL_S, CONTAINERS = 60, 10.0, 100
PAGE, CHUNK = 4096, b"x" * 65536


@contextlib.contextmanager
def children(works: list[Callable[[], None]]) -> Iterator[list[int]]:
    """A forked process for each, and their pids; they are ended by signal."""
    started = [multiprocessing.get_context("fork").Process(target=work, daemon=True) for work in works]
    for process in started:
        process.start()
    try:
        yield [process.pid or 0 for process in started]
    finally:
        for process in started:
            process.kill()
            process.join()


def _node_load() -> None:
    """Three times a second: a connection over loopback, a file written and read, some pages, now and then a process."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_echo, args=(listener,), daemon=True).start()
    with tempfile.TemporaryFile() as file:
        for turn in range(1 << 30):
            with socket.create_connection(listener.getsockname()) as client:
                client.sendall(CHUNK[: random.randrange(1, 4096)])
                client.recv(65536)
            file.seek(random.randrange(64) * len(CHUNK))
            file.write(CHUNK)
            if turn % 10 == 0:
                os.fsync(file.fileno())
                os.spawnlp(os.P_WAIT, "true", "true")
            bytearray(random.randrange(1 << 20))
            time.sleep(0.3)


def _echo(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(connection.recv(65536))


def _container_work() -> None:
    """Every second or two: CPU, threads, memory and descriptors that come and go, and 4 KiB past the page cache."""
    random.seed(os.getpid())
    held: list[tuple[mmap.mmap, list[int]]] = []
    direct = os.open("/var/tmp", os.O_TMPFILE | os.O_RDWR | os.O_DIRECT, 0o600)
    while True:
        time.sleep(random.uniform(0.5, 3))
        sum(range(random.randrange(250_000)))
        for _ in range(random.randrange(12_000)):
            os.stat("/")
        memory = mmap.mmap(-1, PAGE * 64, random.choice((mmap.MAP_PRIVATE, mmap.MAP_SHARED)) | mmap.MAP_ANONYMOUS)
        memory[::PAGE] = b"x" * 64
        held.append((memory, [os.dup(0) for _ in range(random.randrange(4))]))
        while len(held) > random.randrange(4, 40):
            pages, descriptors = held.pop(0)
            os.pwritev(direct, [memoryview(pages)[:PAGE]], PAGE * random.randrange(64))
            pages.close()
            for descriptor in descriptors:
                os.close(descriptor)
        threading.Thread(target=time.sleep, args=(random.expovariate(0.3),), daemon=True).start()


def node() -> Iterator[Recorded]:
    from agent import collectors
    from agent.app import Agent

    settings = (*AGENT, *HOST, *LOG, *collectors.settings())
    agent = Agent(load(settings, "", {}, {"listen": "127.0.0.1:0"}))
    with children([_node_load]):
        if agent.watch is not None:
            agent.watch.start()
        yield from _recorded(agent.engine, lambda block: True)


def of_containers() -> Iterator[Recorded]:
    with containers.tree(CONTAINERS) as (root, paths), children([_container_work] * CONTAINERS) as pids:
        for path, pid in zip(paths, pids, strict=True):
            for controller in containers.CONTROLLERS:
                (V1 / controller / path[1:] / "cgroup.procs").write_text(str(pid))
        pods = parse_pods(json.dumps(whole._documents(paths)["/pods"]).encode())
        kubelet = Kubelet(pods=Document(tuple(pods), time.monotonic(), time.time()))
        host = Host.at("/proc", "/sys", "/", kubelet=kubelet, cgroup_root=root)
        every: list[Collector] = [Containers(host, {})]
        yield from _recorded(Engine(every, host.calls), lambda block: block.family.part == "cadvisor")


def _recorded(engine: Engine, wanted: Callable[[Block], bool]) -> Iterator[Recorded]:
    engine.snapshot()
    begun, before = time.monotonic(), tuple[Block, ...]()
    for number in range(TICKS):
        time.sleep(max(0.0, begun + (number + 1) * INTERVAL_S - time.monotonic()))
        batch = engine.snapshot()
        boot_ms = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
        blocks = tuple(block for block in batch.blocks if wanted(block))
        if number % 10 == 1:
            print(number, sum(len(block.values) for block in blocks), "samples", moved(before, blocks), flush=True)
        before = blocks
        yield Recorded(int(batch.time_s * 1000), boot_ms, blocks)


def moved(before: tuple[Block, ...], after: tuple[Block, ...]) -> float:
    """The share of series that are others, or have another value, than a tick ago."""
    old = {(b.family.name, key): value for b in before for key, value in zip(b.keys, b.values, strict=True)}
    new = {(b.family.name, key): value for b in after for key, value in zip(b.keys, b.values, strict=True)}
    return sum(repr(old.get(name)) != repr(value) for name, value in new.items()) / len(new)


if __name__ == "__main__":
    corpus = sys.argv[1]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the cgroups are removed
    kinds: dict[str, Callable[[], Iterator[Recorded]]] = {"node": node, "containers": of_containers}
    write(Path(CORPORA / f"{corpus}.json.xz"), list(kinds[corpus]()))
