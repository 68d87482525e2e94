"""Real agents stream to a small aggregator through what happens to machines: kills, restarts, cuts, full disks."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.push import export
from agent.push.disk import Disk
from tests.peers.processes import REPOSITORY, Served, start_agent
from tests.stream.proxy import Proxy
from tests.stream.scripted import Aggregator, Store
from tests.stream.waiting import until

FLAGS = ("--push.insecure", "--push.interval", "100ms", "--node-name", "n1")
DROPPED_FOR_ROOM = 'headroom_spool_dropped_records_total{lane="samples",reason="spool_full"}'
DISK_TOOK_NOTHING = 'headroom_spool_dropped_records_total{lane="samples",reason="disk"}'


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def aggregator(store: Store) -> Iterator[Aggregator]:
    one = Aggregator(store)
    yield one
    one.stop()


def start(place: Path, port: int, *flags: str) -> Served:
    return start_agent("--push.target", f"127.0.0.1:{port}", "--spool.dir", str(place / "spool"), *FLAGS, *flags)


def more(store: Store, count: int) -> None:
    """Waits for so many more ticks."""
    before = len(store.of("samples"))
    until(lambda: len(store.of("samples")) >= before + count)


def check_whole(store: Store, place: Path, sessions: int) -> None:
    """Nothing is lost, nothing twice, and the order is that of the clock; what the spool holds has come to its end."""
    assert store.gaps == []
    ticks: dict[int, list[tuple[int, int]]] = {}
    for (_, number, seq), (unix_ms, _) in store.of("samples"):
        ticks.setdefault(number, []).append((seq, unix_ms))
    assert sorted(ticks) == list(range(1, sessions + 1))
    for one in ticks.values():
        assert [seq for seq, _ in one] == list(range(1, len(one) + 1))
        assert [unix_ms for _, unix_ms in one] == sorted(unix_ms for _, unix_ms in one)
    starts = [ticks[number][0][1] for number in sorted(ticks)]
    assert starts == sorted(starts)
    held = {
        one.key.number: one.last for one in export.spools(Disk(), str(place / "spool")) if one.key.lane == "samples"
    }
    assert {number: len(ticks[number]) for number in held} == held


def test_kills_while_nobody_listens(tmp_path: Path, store: Store) -> None:
    """What three killed processes wrote while there was no aggregator arrives when there is one again."""
    proxy = Proxy()
    for _ in range(3):
        with start(tmp_path, proxy.port) as agent:
            until(lambda agent=agent: counted(agent, 'headroom_spool_records_total{lane="samples"}') > 8)  # type: ignore[misc]
            agent.process.kill()
            agent.process.wait()
    assert store.records == []
    aggregator = Aggregator(store)
    proxy.target = "127.0.0.1", aggregator.port
    with start(tmp_path, proxy.port):
        until(lambda: len({number for (_, number, _), _ in store.of("samples")}) == 4)
        more(store, 5)
    aggregator.stop()
    proxy.close()
    check_whole(store, tmp_path, 4)


def test_cuts_of_the_connection(tmp_path: Path, aggregator: Aggregator, store: Store) -> None:
    """After each cut the rest arrives, and what went twice is there once."""
    proxy = Proxy(("127.0.0.1", aggregator.port))
    with start(tmp_path, proxy.port) as agent:
        for _ in range(4):
            more(store, 8)
            proxy.cut()
            until(lambda: counted(agent, "headroom_push_connected") == 0)
            proxy.mend()
        more(store, 20)
        errors = [line for line in agent.get("/metrics").decode().splitlines() if "push_errors_total{" in line]
        assert errors
    proxy.close()
    check_whole(store, tmp_path, 1)


def test_a_spool_that_is_too_small_for_the_outage(tmp_path: Path, store: Store) -> None:
    """The oldest go, also those of a killed process; each is declared, and all that is left arrives."""
    proxy = Proxy()
    small = ("--spool.max-bytes", "64KiB")
    for _ in range(2):
        with start(tmp_path, proxy.port, *small) as agent:
            until(lambda agent=agent: counted(agent, DROPPED_FOR_ROOM) >= 20)  # type: ignore[misc]
            agent.process.kill()
            agent.process.wait()
    held = {
        (one.key.number, seq)
        for one in export.spools(Disk(), str(tmp_path / "spool"))
        if one.key.lane == "samples"
        for file in one.files
        for seq in range(file.first, file.readable + 1)
    }
    numbered = max(one.base + one.last for one in export.spools(Disk(), str(tmp_path / "spool")))
    dropped = numbered - len(held)
    assert dropped >= 40
    aggregator = Aggregator(store)
    proxy.target = "127.0.0.1", aggregator.port
    with start(tmp_path, proxy.port):
        until(lambda: held <= {(number, seq) for (_, number, seq), _ in store.of("samples")})
        more(store, 5)
    aggregator.stop()
    proxy.close()
    assert sum(gap.records or 0 for gap in store.gaps) == dropped
    assert {gap.reason for gap in store.gaps} <= {"SPOOL_FULL", "VANISHED"}


class Scraper(threading.Thread):
    """Asks for /metrics again and again. ``slowest_s`` of its answers; what was no answer is an error."""

    def __init__(self, agent: Served) -> None:
        super().__init__(daemon=True)
        self._agent, self._stopping = agent, threading.Event()
        self.answers, self.slowest_s, self.errors = 0, 0.0, list[str]()

    def run(self) -> None:
        while not self._stopping.wait(0.02):
            began_s = time.monotonic()
            try:
                body = self._agent.get("/metrics")
            except (OSError, AssertionError, http.client.HTTPException) as error:
                self.errors.append(repr(error)[:500])
                continue
            self.answers += b"node_memory_MemTotal_bytes " in body
            self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)

    def stop(self) -> None:
        self._stopping.set()
        self.join(20)


@pytest.mark.needs("root")
def test_a_full_disk_costs_the_spool_only(tmp_path: Path, aggregator: Aggregator, store: Store) -> None:
    """On a disk without room it declares what it lost, exactly, three times over; /metrics is served all the time."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], check=True)
    try:
        with start(tmp_path, aggregator.port, "--spool.max-bytes", "64MiB") as agent:
            scraper = Scraper(agent)
            scraper.start()
            for _ in range(3):
                more(store, 5)
                before = counted(agent, DISK_TOOK_NOTHING)
                aggregator.acking = False  # else what it has makes room for what comes
                filler = tmp_path / "filler"
                with filler.open("wb", buffering=0) as file:
                    _fill(file.fileno())
                until(lambda before=before: counted(agent, DISK_TOOK_NOTHING) >= before + 3)  # type: ignore[misc]
                filler.unlink()
                aggregator.acking = True
            more(store, 10)
            dropped = counted(agent, DISK_TOOK_NOTHING)
            scraper.stop()
        assert scraper.errors == []
        assert scraper.answers > 20
        assert scraper.slowest_s < 2
        assert dropped >= 9
        assert {gap.reason for gap in store.gaps} == {"DISK"}
        assert sum(gap.records or 0 for gap in store.gaps) == dropped
        seqs = [seq for (_, _, seq), _ in store.of("samples")]
        lost = [seq for gap in store.gaps for seq in range(gap.first, (gap.last or 0) + 1)]
        assert sorted(seqs + lost) == list(range(1, max(seqs) + 1))
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_spool_that_cannot_be_made_costs_nothing_else(tmp_path: Path, aggregator: Aggregator) -> None:
    """Where there is a file instead of a directory the agent serves all the same, and counts."""
    (tmp_path / "spool").write_text("")
    with start(tmp_path, aggregator.port) as agent:
        until(lambda: counted(agent, 'headroom_push_errors_total{reason="spool"}') == 1)


def test_the_temporary_spool_goes_with_the_agent(tmp_path: Path, aggregator: Aggregator, store: Store) -> None:
    """Without --spool.dir records are in a temporary directory, which is said, and is gone after a clean end."""
    with start_agent("--push.target", f"127.0.0.1:{aggregator.port}", *FLAGS) as agent:
        directory = agent.wait_for(r"no --spool.dir.*directory=(\S+)")[1]
        more(store, 3)
        assert os.path.isdir(directory)
        agent.stop()
    assert not os.path.exists(directory)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--push.target", "localhost:9911"), "--push.insecure"),
        (("--push.target", "localhost", "--push.insecure"), "--push.target"),
        (("--push.target", ":9911", "--push.insecure"), "--push.target"),
        (("--push.target", "a:1", "--push.insecure", "--push.token-file", "t"), "plaintext"),
        (("--push.target", "a:1", "--push.tls-ca", "c", "--push.tls-cert", "x"), "--push.tls-key"),
        (("--push.target", "a:1", "--push.insecure", "--push.interval", "10ms"), "--push.interval"),
    ],
)
def test_settings_that_contradict_are_refused(flags: tuple[str, ...], says: str) -> None:
    """One line that names the setting, and exit code 2, before anything is served."""
    command = [sys.executable, "-m", "agent.cli", "agent", "--listen", "127.0.0.1:0", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, cwd=REPOSITORY)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert says in done.stderr


def counted(agent: Served, series: str) -> float:
    found = re.search(rf"^{re.escape(series)} (\S+)$", agent.get("/metrics/headroom").decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


def _fill(fd: int) -> None:
    try:
        while os.write(fd, bytes(4096)):
            pass
    except OSError:
        pass
