"""Real agents stream to a small aggregator through what happens to machines: kills, restarts, cuts, full disks."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
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


def test_kills_of_the_agent(tmp_path: Path, aggregator: Aggregator, store: Store) -> None:
    """Three times SIGKILL: every record that was written arrives once, in sessions that follow each other."""
    for _ in range(3):
        with start(tmp_path, aggregator.port) as agent:
            more(store, 12)
            agent.process.kill()
            agent.process.wait()
    with start(tmp_path, aggregator.port):
        more(store, 10)
    check_whole(store, tmp_path, 4)


def test_kills_while_nobody_listens(tmp_path: Path, store: Store) -> None:
    """What three killed processes wrote while there was no aggregator arrives when there is one again."""
    first = Aggregator(store)
    first.stop()
    for _ in range(3):
        with start(tmp_path, first.port) as agent:
            until(lambda agent=agent: counted(agent, 'headroom_spool_records_total{lane="samples"}') > 8)  # type: ignore[misc]
            agent.process.kill()
            agent.process.wait()
    assert store.records == []
    again = Aggregator(store, first.port)
    with start(tmp_path, first.port):
        until(lambda: len({number for (_, number, _), _ in store.of("samples")}) == 4)
        more(store, 5)
    again.stop()
    check_whole(store, tmp_path, 4)


def test_restarts_of_the_aggregator(tmp_path: Path, store: Store) -> None:
    """An aggregator that dies with what it had not stored gets it again."""
    aggregator = Aggregator(store)
    with start(tmp_path, aggregator.port):
        for _ in range(3):
            more(store, 8)
            aggregator.acking = False  # it reads on, and stores nothing any more
            aggregator.stop()
            aggregator = Aggregator(store, aggregator.port)
        more(store, 20)
    until(lambda: aggregator.goodbyes == 1)
    aggregator.stop()
    check_whole(store, tmp_path, 1)


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


def test_what_is_only_spooled_can_be_exported(tmp_path: Path) -> None:
    """Without a target the agent writes what the export reads: all ticks, with the series that /metrics has."""
    spool = tmp_path / "spool"
    with start_agent("--spool.dir", str(spool), "--push.interval", "100ms") as agent:
        until(lambda: counted(agent, 'headroom_spool_records_total{lane="samples"}') >= 10)
        body = agent.get("/metrics").decode()
    assert "headroom_push_streams_total" not in body
    out = io.BytesIO()
    export.openmetrics(Disk(), str(spool), out)
    text = out.getvalue().decode()
    assert len(re.findall(r"^node_memory_MemTotal_bytes \S+ \S+$", text, re.MULTILINE)) >= 11
    names = set(re.findall(r"^(node_\w+)", body, re.MULTILINE))
    assert len(names) > 100
    assert names <= set(re.findall(r"^(node_\w+)", text, re.MULTILINE))


@pytest.mark.needs("root")
def test_a_full_disk_costs_the_spool_only(tmp_path: Path, aggregator: Aggregator, store: Store) -> None:
    """With a spool on a disk without room the metrics go on, and what was lost is declared, exactly."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], check=True)
    try:
        with start(tmp_path, aggregator.port, "--spool.max-bytes", "64MiB") as agent:
            more(store, 5)
            filler = tmp_path / "filler"
            with filler.open("wb", buffering=0) as file:
                _fill(file.fileno())
            until(lambda: counted(agent, DISK_TOOK_NOTHING) >= 3)
            assert agent.get("/metrics/node")
            filler.unlink()
            more(store, 10)
            dropped = counted(agent, DISK_TOOK_NOTHING)
        assert dropped >= 1
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


def test_the_real_aggregator_through_kills_of_both(tmp_path: Path) -> None:
    """The agent and ``headroom aggregator``, killed again and again: nothing is lost, and the page is the node's."""
    flags = ("--insecure", "--data-dir", str(tmp_path / "data"), "--http-listen", "127.0.0.1:0")
    port = 0
    for _ in range(3):
        with start_aggregator(*flags, "--grpc-listen", f"127.0.0.1:{port}") as aggregator:
            port = int(aggregator.wait_for(r"msg=serving .*grpc=\S+:(\d+)")[1])
            with start(tmp_path, port) as agent:
                until(lambda agent=agent: counted(agent, "headroom_push_acks_total") > 5)  # type: ignore[misc]
                agent.process.kill()
                agent.process.wait()
            with start(tmp_path, port) as agent:
                until(lambda agent=agent: counted(agent, "headroom_push_acks_total") > 5)  # type: ignore[misc]
                page = aggregator.get("/clusters/default/nodes/n1/metrics").decode()
                names = set(re.findall(r"^(node_\w+)", agent.get("/metrics/node").decode(), re.MULTILINE))
                assert len(names) > 100
                assert names <= set(re.findall(r"^(node_\w+)", page, re.MULTILINE))
                aggregator.process.kill()
                aggregator.process.wait()
    with (
        start_aggregator(*flags, "--grpc-listen", f"127.0.0.1:{port}") as aggregator,
        start(tmp_path, port) as agent,
    ):
        until(lambda: counted(agent, "headroom_push_acks_total") > 5)
        agent.stop()
        until(lambda: [one["name"] for one in aggregator.json("/api/v1/nodes")["nodes"]] == ["n1"])
        (node,) = aggregator.json("/api/v1/nodes")["nodes"]
        assert node["vanished"] == []
        assert [one for one in node["sessions"] if one["gaps"] or one["refused"]] == []
        committed = {one["number"]: one["committed"] for one in node["sessions"] if one["lane"] == "samples"}
        held = {
            one.key.number: one.last
            for one in export.spools(Disk(), str(tmp_path / "spool"))
            if one.key.lane == "samples" and one.key.number in committed
        }
        assert committed == held


def start_aggregator(*flags: str) -> Served:
    command = (sys.executable, "-m", "agent.cli", "aggregator", *flags)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return Served(command, environment).listen(r"msg=serving .*url=http://(\S+)")


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
