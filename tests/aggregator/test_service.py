"""The service as a real process, and an agent that is made by hand."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from agent.wire.ingest_pb2 import AgentMessage, Body, Event, Family, Header, Lane, Lost, Record, Schema
from agent.wire.record import deflated
from tests.aggregator.agent_end import GOODBYE, AgentEnd, Told, hello
from tests.aggregator.running import Running, eventually, start_aggregator
from tests.unit.wire.batches import FAMILIES, block

LOAD, CPU = FAMILIES[:2]
BLOCKS = (block(LOAD, {(): 0.5}), block(CPU, {("0", "user"): 1.25}))
OTHERS = (block(LOAD, {(): 0.75}), block(CPU, {("0", "user"): 1.5}))
METRICS = "/clusters/default/nodes/worker-1/metrics"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with start_aggregator(tmp_path / "data") as one:
        yield one


def stored(data: Path) -> list[tuple[str, bytes, int]]:
    """Every record of the store, in the order in which it came."""
    found = []
    for path in sorted(data.glob("*.sqlite")):
        db = sqlite3.connect(path)
        found += db.execute("SELECT node, sid, seq FROM records ORDER BY id").fetchall()
        db.close()
    return found


def test_records_are_acknowledged_shown_and_stored(running: Running, tmp_path: Path) -> None:
    """Hello, Welcome, a header, records, their Ack: then they are on disk with their header, and shown."""
    told = Told()
    with AgentEnd(running.grpc) as end:
        assert end.send(hello(told.listed())).welcome() == {(Lane.LANE_SAMPLES, 1): (0, False)}
        header = told.header(BLOCKS)
        end.send(header, told.tick(BLOCKS), told.tick(OTHERS)).acked(told, 2)
        assert stored(tmp_path / "data") == [("default/worker-1", told.sid, 1), ("default/worker-1", told.sid, 2)]
        assert b"node_load1 0.75\n" in running.get(METRICS)
        (session,) = running.node()["sessions"]
        assert (session["committed"], session["records"], session["duplicates"], session["gaps"]) == (2, 2, 0, [])
    db = sqlite3.connect(next((tmp_path / "data").glob("*.sqlite")))
    ((first, kept),) = db.execute("SELECT first, header FROM headers").fetchall()
    db.close()
    assert (first, Header.FromString(zlib.decompress(kept))) == (1, header.header)


def test_the_same_bytes_are_stored(running: Running, tmp_path: Path) -> None:
    """A record on the agent's disk, on the wire and in the store is the same."""
    told = Told()
    with AgentEnd(running.grpc) as end:
        end.send(hello(told.listed())).welcome()
        record = told.header(BLOCKS), told.tick(BLOCKS)
        end.send(*record).acked(told, 1)
    db = sqlite3.connect(next((tmp_path / "data").glob("*.sqlite")))
    ((kept,),) = db.execute("SELECT record FROM records").fetchall()
    db.close()
    assert kept == record[1].record.SerializeToString()


def test_what_was_committed_comes_again_and_counts_once(running: Running, tmp_path: Path) -> None:
    """An agent that reconnects enters the file at its beginning: what is there is decoded and passed over."""
    told = Told()
    messages = [told.header(BLOCKS), told.tick(BLOCKS), told.tick(OTHERS)]
    with AgentEnd(running.grpc) as end:
        end.send(hello(told.listed())).welcome()
        end.send(*messages).acked(told, 2)
    with AgentEnd(running.grpc) as end:
        assert end.send(hello(told.listed())).welcome() == {(Lane.LANE_SAMPLES, 1): (2, False)}
        end.send(*messages, told.tick(BLOCKS)).acked(told, 3)
    assert [seq for _, _, seq in stored(tmp_path / "data")] == [1, 2, 3]
    (session,) = running.node()["sessions"]
    assert (session["records"], session["duplicates"]) == (3, 2)


def test_killed_between_commits(tmp_path: Path) -> None:
    """SIGKILL three times: what was acknowledged is there, what was not comes again, each record once and in order."""
    told = Told()
    messages: list[AgentMessage] = []
    for turn in range(3):
        running = start_aggregator(tmp_path / "data")
        try:
            with AgentEnd(running.grpc) as end:
                ((committed, _),) = end.send(hello(told.listed())).welcome().values()
                assert committed >= turn * 10
                messages += [told.header(BLOCKS)] if not messages else []
                messages += [told.tick(BLOCKS) for _ in range(10)]
                end.send(*messages).acked(told, told.last)
                messages += [told.tick(OTHERS) for _ in range(10)]
                end.send(*messages[-10:])
                running.kill()
        finally:
            running.stop()
    with start_aggregator(tmp_path / "data") as running, AgentEnd(running.grpc) as end:
        assert running.node()["state"] == "live"
        assert running.request(METRICS).status == 503, "nothing to show before the first tick"
        end.send(hello(told.listed())).welcome()
        end.send(*messages).acked(told, 60)
        assert [seq for _, _, seq in stored(tmp_path / "data")] == list(range(1, 61))
        assert running.request(METRICS).status == 200


@pytest.mark.parametrize(
    "which", ["out of order", "no header", "no welcome", "not listed", "two hellos", "garbage", "old"]
)
def test_who_breaks_the_protocol_loses_the_stream(running: Running, which: str) -> None:
    """Each with INVALID_ARGUMENT and a reason; the next stream is served."""
    told, other = Told(), Told(2)
    with AgentEnd(running.grpc) as end:
        first = hello(told.listed())
        if which == "old":
            first.hello.protocol = 9
        if which != "no welcome":
            end.send(first)
            if which != "old":
                end.welcome()
        header, one, two = told.header(BLOCKS), told.tick(BLOCKS), told.tick(BLOCKS)
        messages = {
            "out of order": [header, two],
            "no header": [one],
            "no welcome": [one],
            "not listed": [other.header(BLOCKS)],
            "two hellos": [hello(told.listed())],
            "garbage": [AgentMessage(header=Header(format=77))],
            "old": [],
        }[which]
        code, text = end.send(*messages).end()
        assert (code, text != "") == (grpc.StatusCode.INVALID_ARGUMENT, True)
    assert running.metric('headroom_aggregator_streams_ended_total{reason="protocol"}') == 1
    with AgentEnd(running.grpc) as end:
        assert end.send(hello(told.listed())).welcome()


def bomb() -> Record:
    """64 MiB of zeros in 64 KB, that says it is small."""
    return Record(body_bytes=1000, body=deflated(bytes(64 << 20)))


@pytest.mark.parametrize("which", ["bomb", "checksum", "garbage", "no tick", "too large"])
def test_a_record_that_cannot_be_read_is_refused_in_its_place(running: Running, tmp_path: Path, which: str) -> None:
    """It and the rest of its file are lost, as declared; the next file goes on, and the stream never broke."""
    told = Told()
    bad = {
        "bomb": bomb(),
        "checksum": Record(body_bytes=1, body_crc32=1, body=deflated(b"x")),
        "garbage": Record(body_bytes=4, body=b"\xff\xff\xff\xff"),
        "no tick": told.record(Body()).record,
        "too large": Record(body_bytes=10, body=bytes(300 << 10)),
    }[which]
    told.last = 0
    with AgentEnd(running.grpc) as end:
        end.send(hello(told.listed())).welcome()
        end.send(told.header(BLOCKS), told.tick(BLOCKS))
        told.last += 1
        bad.sid, bad.seq = told.sid, 2
        end.send(AgentMessage(record=bad), told.tick(OTHERS), told.header(BLOCKS), told.tick(OTHERS)).acked(told, 4)
        assert [seq for _, _, seq in stored(tmp_path / "data")] == [1, 4]
        assert b"node_load1 0.75\n" in running.get(METRICS)
        (session,) = running.node()["sessions"]
        assert [(gap["first"], gap["last"], gap["reason"]) for gap in session["gaps"]] == [
            (2, 2, "REJECTED"),
            (3, 3, "REJECTED"),
        ]
        assert (session["records"], session["refused"], session["committed"]) == (2, 2, 4)
    assert running.metric('headroom_aggregator_gap_records_total{reason="REJECTED"}') == 2


@pytest.mark.parametrize("lane", [Lane.LANE_SAMPLES, Lane.LANE_EVENTS])
def test_a_backlog_of_many_sessions_does_not_push_out_what_is_live(running: Running, lane: Lane) -> None:
    """However many sealed sessions come between two of its records, the live one goes on in its file."""
    event = Body(events=[Event(unix_ms=1, type="oom_kill", state="occurred", subject="node")])
    live, sealed = Told(9, lane), [Told(number, lane) for number in range(1, 9)]
    for told in sealed:
        told.last = 1
    with AgentEnd(running.grpc) as end:
        end.send(hello(*(told.listed(sealed=True) for told in sealed), live.listed())).welcome()
        for told in (live, *sealed):
            told.last = 0
            samples = lane == Lane.LANE_SAMPLES
            end.send(told.header(BLOCKS if samples else ()), told.tick(BLOCKS) if samples else told.record(event))
        end.send(live.tick(OTHERS) if lane == Lane.LANE_SAMPLES else live.record(event)).acked(live, 2)
        assert {one["number"]: one["committed"] for one in running.node()["sessions"]} == {9: 2} | dict.fromkeys(
            range(1, 9), 1
        )


def test_a_schema_that_is_refused(running: Running) -> None:
    """A file whose names are none is refused record by record: the session goes on behind it."""
    told = Told()
    with AgentEnd(running.grpc) as end:
        end.send(hello(told.listed())).welcome()
        header = told.header(BLOCKS)
        header.header.schema.CopyFrom(Schema(families=[Family(name="no name", type=1)]))
        end.send(header, told.tick(BLOCKS)).acked(told, 1)
        end.send(told.header(BLOCKS), told.tick(BLOCKS)).acked(told, 2)
        assert running.request(METRICS).status == 200


def test_what_the_agent_declares_lost(running: Running) -> None:
    """A Lost is acknowledged like records, and told with its reason; what vanished with a session too."""
    told = Told()
    with AgentEnd(running.grpc) as end:
        end.send(hello(told.listed())).welcome()
        told.last = 7
        end.send(told.lost(1, 7, Lost.Reason.DISK_PRESSURE)).acked(told, 7)
        (session,) = running.node()["sessions"]
        assert [(gap["first"], gap["last"], gap["records"], gap["reason"]) for gap in session["gaps"]] == [
            (1, 7, 7, "DISK_PRESSURE")
        ]
    after = Told(2)
    with AgentEnd(running.grpc) as end:
        end.send(hello(after.listed(base=9))).welcome()
        gaps = [gap for session in running.node()["sessions"] for gap in session["gaps"]]
        assert [(gap["first"], gap["last"], gap["records"], gap["reason"]) for gap in gaps[-1:]] == [
            (8, 9, 2, "VANISHED")
        ]


def test_events_are_listed_also_after_a_restart(running: Running, tmp_path: Path) -> None:
    """Newest first, each once, however often it came; a record that is none is refused alone."""
    told = Told(lane=Lane.LANE_EVENTS)
    first, second = (Event(unix_ms=at, type="oom_kill", state="occurred", subject=f"pod/a/{at}") for at in (1000, 2000))
    messages = [told.header(), *(told.record(Body(events=one)) for one in ([first], [], [second], [first]))]
    with AgentEnd(running.grpc) as end:
        end.send(hello(told.listed())).welcome()
        end.send(*messages).acked(told, 4)
    with AgentEnd(running.grpc) as end:
        end.send(hello(told.listed())).welcome()
        end.send(*messages, told.record(Body(events=[second]))).acked(told, 5)
    expected = [(2.0, "pod/a/2000", "worker-1"), (1.0, "pod/a/1000", "worker-1")]

    def listed(one: Running, query: str = "") -> list[tuple[float, str, str]]:
        found = one.json(f"/api/v1/events{query}")["events"]
        return [(event["time_unix_s"], event["subject"], event["node"]) for event in found]

    assert listed(running) == expected
    assert listed(running, "?limit=1") == expected[:1]
    assert listed(running, "?node=other") == []
    running.stop()
    with start_aggregator(tmp_path / "data") as again:
        assert listed(again) == expected


def test_a_newcomer_displaces_the_oldest_stream(running: Running) -> None:
    """Two streams of a node may be open; the oldest, which may be half open, makes room for a third."""
    told = Told()
    with ExitStack() as stack:
        ends = []
        for _ in range(3):  # each once the one before it was welcomed: what is oldest is told by who came first
            ends.append(stack.enter_context(AgentEnd(running.grpc)))
            ends[-1].send(hello(told.listed())).welcome()
        one, two, three = ends
        assert one.end()[0] == grpc.StatusCode.ABORTED
        assert eventually(lambda: running.node()["streams"] == 2)
        two.send(told.header(BLOCKS), told.tick(BLOCKS)).acked(told, 1)
        three.acked(told, 1)


def test_a_goodbye_is_no_alarm(running: Running) -> None:
    """What came before it is acknowledged; the node has gone, and is no target until it comes again."""
    told = Told()
    with AgentEnd(running.grpc) as end:
        end.send(hello(told.listed())).welcome()
        end.send(told.header(BLOCKS), told.tick(BLOCKS), GOODBYE).close()
        end.acked(told, 1)
        assert end.end()[0] == grpc.StatusCode.OK
    assert eventually(lambda: running.node()["state"] == "gone")
    assert (running.json("/sd"), running.request(METRICS).status) == ([], 503)
    with AgentEnd(running.grpc) as end:
        end.send(hello(told.listed())).welcome()
        end.send(told.header(BLOCKS), told.tick(BLOCKS)).acked(told, 2)
        assert (running.node()["state"], len(running.json("/sd"))) == ("live", 1)


def test_it_ends_in_order(running: Running, tmp_path: Path) -> None:
    """SIGTERM: what has come is committed and acknowledged, streams are told, and the exit code is 0, at once."""
    told = Told()
    with AgentEnd(running.grpc) as end:
        end.send(hello(told.listed())).welcome()
        end.send(told.header(BLOCKS), told.tick(BLOCKS)).acked(told, 1)
        running.terminate()
        assert end.end()[0] == grpc.StatusCode.UNAVAILABLE
        assert running.ended_within(5)
    assert running.process.returncode == 0
    assert [seq for _, _, seq in stored(tmp_path / "data")] == [1]
