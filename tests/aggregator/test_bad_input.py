"""What a damaged spool, a future version or a hostile agent may stream: it costs itself, is declared and counted.

All of it goes to one real aggregator, on streams that go on afterwards; what other nodes show is never touched.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from agent.wire.ingest_pb2 import AgentMessage, Body, Event, Lane, Lost, Order, Record, Schema, Tick
from agent.wire.record import deflated
from tests.aggregator.agent_end import GOODBYE, AgentEnd, Told, hello
from tests.aggregator.running import Running, start_aggregator
from tests.unit.wire.batches import FAMILIES, block

LOAD, CPU = FAMILIES[:2]
BLOCKS = (block(LOAD, {(): 0.5}), block(CPU, {("0", "user"): 1.25}))
OTHERS = (block(LOAD, {(): 0.75}), block(CPU, {("0", "user"): 1.5}))
HUGE = 0xFFFFFFFF
MOST = 2**64 - 1
UNKNOWN = b"\xc2\x3e\x03abc"  # field 1000, as a later version may have it
ZEROS = deflated(bytes(64 << 20))
BOMBS = 64
GROWTH_BYTES = 32 << 20


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bad") / "data"


@pytest.fixture(scope="module")
def running(data: Path) -> Iterator[Running]:
    """With a node whose page must stay as it is, whatever the others send."""
    with start_aggregator(data) as one, AgentEnd(one.grpc) as good:
        told = Told(spool=99)
        good.send(hello(told.listed(), node="good")).welcome()
        good.send(told.header(BLOCKS), told.tick(BLOCKS)).acked(told, 1)
        yield one
        assert b"node_load1 0.5\n" in one.get("/clusters/default/nodes/good/metrics")
        assert "level=error" not in one.log()


@pytest.fixture
def node(request: pytest.FixtureRequest) -> str:
    """A node of the test's own."""
    return "n" + zlib.crc32(request.node.nodeid.encode()).to_bytes(4, "big").hex()


def page(node: str) -> str:
    return f"/clusters/default/nodes/{node}/metrics"


def resident_bytes(running: Running) -> int:
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) << 10


def bomb(declared: int) -> Record:
    """64 MiB of zeros in 64 KB."""
    return Record(body_bytes=declared, body=ZEROS)


def sealed(body: Body, more: bytes = b"") -> Record:
    """A record around any body, with a right checksum."""
    plain = body.SerializeToString() + more
    return Record(body_bytes=len(plain), body_crc32=zlib.crc32(plain), body=deflated(plain))


def good() -> Record:
    told = Told()
    told.header(BLOCKS)
    return told.tick(BLOCKS).record


def changed(change: Callable[[Record], object]) -> Record:
    record = good()
    change(record)
    return record


BAD = {
    "truncated": changed(lambda one: setattr(one, "body", one.body[:-3])),
    "bit flipped": changed(lambda one: setattr(one, "body", one.body[:9] + bytes([one.body[9] ^ 4]) + one.body[10:])),
    "checksum flipped": changed(lambda one: setattr(one, "body_crc32", one.body_crc32 ^ 1)),
    "twice in one": changed(lambda one: setattr(one, "body", one.body * 2)),
    "longer than it says": changed(lambda one: setattr(one, "body_bytes", one.body_bytes - 1)),
    "shorter than it says": changed(lambda one: setattr(one, "body_bytes", one.body_bytes + 1)),
    "4 GiB, it says": changed(lambda one: setattr(one, "body_bytes", HUGE)),
    "nothing": Record(),
    "oversized": Record(body_bytes=10, body=bytes(300 << 10)),
    "bomb": bomb(1000),
    "bomb of the largest size": bomb(1 << 20),
    "bomb that tells": bomb(64 << 20),
    "slot sums that overflow": sealed(Body(tick=Tick(turn_step=[HUGE, HUGE, HUGE], delta=[1, 1, 1]))),
    "an integer that overflows": sealed(Body(tick=Tick(turn_step=[1, 1], delta=[2**63 - 1] * 2))),
    "order sums that overflow": sealed(Body(tick=Tick(order=Order(step=[2**31 - 1] * 3)))),
    "a column of 100,000": sealed(Body(tick=Tick(turn_step=[1] * 100_000, delta=[1] * 100_000))),
    "100,000 series": sealed(
        Body(tick=Tick(), more=Schema(symbols=["x"], slot_family=[0] * 100_000, slot_scale=[0] * 100_000))
    ),
}


@pytest.mark.parametrize("which", BAD)
def test_a_bad_record_costs_itself_and_the_rest_of_its_file(running: Running, node: str, which: str) -> None:
    """REJECTED in its place, counted; what was shown stays, the next file is taken, and the stream never ended."""
    told = Told()
    before = running.metric('headroom_aggregator_records_total{result="refused"}')
    with AgentEnd(running.grpc) as end:
        end.send(hello(told.listed(), node=node)).welcome()
        end.send(told.header(BLOCKS), told.tick(BLOCKS)).acked(told, 1)
        bad = Record()
        bad.CopyFrom(BAD[which])
        bad.sid, bad.seq = told.sid, 2
        told.last += 1
        end.send(AgentMessage(record=bad), told.tick(OTHERS)).acked(told, 3)
        assert b"node_load1 0.5\n" in running.get(page(node)), "nothing is shown of what is not sure"
        end.send(told.header(BLOCKS), told.tick(OTHERS)).acked(told, 4)
        assert b"node_load1 0.75\n" in running.get(page(node))
        (session,) = running.node(node)["sessions"]
        assert (session["records"], session["refused"], session["committed"]) == (2, 2, 4)
        assert {(gap["first"], gap["last"], gap["records"], gap["reason"]) for gap in session["gaps"]} == {
            (2, 2, 1, "REJECTED"),
            (3, 3, 1, "REJECTED"),
        }
        assert end.send(GOODBYE).close() is None
        assert end.end()[0] == grpc.StatusCode.OK
    assert running.metric('headroom_aggregator_records_total{result="refused"}') == before + 2


def test_a_file_of_a_future_version(running: Running, node: str) -> None:
    """Nobody here can read it: each of its records is declared, on a stream that goes on to files of this version."""
    told = Told()
    with AgentEnd(running.grpc) as end:
        end.send(hello(told.listed(), node=node)).welcome()
        header = told.header(BLOCKS)
        header.header.format = 2
        end.send(header, told.tick(BLOCKS), told.tick(OTHERS)).acked(told, 2)
        end.send(told.header(BLOCKS), told.tick(OTHERS)).acked(told, 3)
        (session,) = running.node(node)["sessions"]
        assert (session["records"], session["refused"]) == (1, 2)
        assert {(gap["first"], gap["reason"]) for gap in session["gaps"]} == {(1, "REJECTED"), (2, "REJECTED")}
        assert b"node_load1 0.75\n" in running.get(page(node))


def test_an_event_file_of_a_future_version(running: Running, node: str) -> None:
    """As one of samples."""
    told = Told(lane=Lane.LANE_EVENTS)
    event = Body(events=[Event(unix_ms=1, type="oom_kill", state="occurred", subject="node")])
    with AgentEnd(running.grpc) as end:
        end.send(hello(told.listed(), node=node)).welcome()
        header = told.header()
        header.header.format = 2
        end.send(header, told.record(event)).acked(told, 1)
        end.send(told.header(), told.record(event)).acked(told, 2)
        (session,) = running.node(node)["sessions"]
        assert (session["records"], session["refused"]) == (1, 1)
        assert len(running.json(f"/api/v1/events?node={node}")["events"]) == 1


def test_what_a_future_version_adds_is_kept(running: Running, node: str, data: Path) -> None:
    """Unknown fields in every message and an unknown message: passed over; a record is stored with them, as it came."""

    def newer(message: AgentMessage, more: bytes = UNKNOWN) -> AgentMessage:
        return AgentMessage.FromString(message.SerializeToString() + more)

    told = Told()
    with AgentEnd(running.grpc) as end:
        first = hello(told.listed(), node=node)
        first.hello.MergeFromString(UNKNOWN)
        first.hello.sessions[0].MergeFromString(UNKNOWN)
        end.send(newer(first)).welcome()
        header, one = told.header(BLOCKS), told.tick(BLOCKS)
        header.header.MergeFromString(UNKNOWN)
        record = sealed(Body(tick=Tick(keyframe=False, unix_ms=2, boot_ms=20_000, turn_step=[1], delta=[5])), UNKNOWN)
        record.sid, record.seq = told.sid, 2
        record.MergeFromString(UNKNOWN)
        two = AgentMessage(record=record)
        end.send(newer(header), AgentMessage.FromString(UNKNOWN), newer(one), newer(two)).acked(told, 2)
        assert b"node_load1 1.0\n" in running.get(page(node))
    kept = rows(data, told.sid, node)
    assert kept == [one.record.SerializeToString(), record.SerializeToString()]
    assert kept[1].endswith(UNKNOWN)


def rows(data: Path, sid: bytes, node: str) -> list[bytes]:
    (path,) = data.glob("*.sqlite")
    db = sqlite3.connect(path)
    found = db.execute("SELECT record FROM records WHERE sid = ? AND node = ? ORDER BY id", (sid, f"default/{node}"))
    kept = [record for (record,) in found]
    db.close()
    return kept


def test_a_reason_of_a_future_version(running: Running, node: str) -> None:
    """A loss whose reason nobody here knows is a loss without a known reason; also one that only we may give."""
    told = Told()
    before = running.metric('headroom_aggregator_gap_records_total{reason="UNSPECIFIED"}')
    with AgentEnd(running.grpc) as end:
        end.send(hello(told.listed(), node=node)).welcome()
        lost = [told.lost(1, 3), told.lost(4, 4), told.lost(5, 5)]
        for one, reason in zip(lost, (77, 0, Lost.Reason.VANISHED), strict=True):
            one.lost.MergeFromString(b"\x20" + bytes([reason]))
        told.last = 5
        end.send(*lost).acked(told, 5)
        (session,) = running.node(node)["sessions"]
        assert [(gap["first"], gap["last"], gap["records"], gap["reason"]) for gap in session["gaps"]] == [
            (1, 3, 3, "UNSPECIFIED"),
            (4, 4, 1, "UNSPECIFIED"),
            (5, 5, 1, "UNSPECIFIED"),
        ]
    assert running.metric('headroom_aggregator_gap_records_total{reason="UNSPECIFIED"}') == before + 5


def test_what_the_agent_knows_to_be_refused(running: Running, node: str) -> None:
    """Records that are larger than we said we take are declared by the agent: each counts as refused."""
    told = Told()
    with AgentEnd(running.grpc) as end:
        end.send(hello(told.listed(), node=node)).welcome()
        told.last = 5
        end.send(told.lost(1, 5, Lost.Reason.REJECTED)).acked(told, 5)
        (session,) = running.node(node)["sessions"]
        assert (session["records"], session["refused"]) == (0, 5)


def at(told: Told, seq: int) -> AgentMessage:
    record = good()
    record.sid, record.seq = told.sid, seq
    return AgentMessage(record=record)


LIES: dict[str, Callable[[Told], AgentMessage]] = {
    "a record near 2^64": lambda told: at(told, MOST),
    "a record at 2^63": lambda told: at(told, 2**63),
    "record 0": lambda told: at(told, 0),
    "the same record again": lambda told: at(told, 1),
    "a loss to 2^64": lambda told: told.lost(2, MOST),
    "a loss from 2^64": lambda told: told.lost(MOST, MOST),
    "a loss that ends before it begins": lambda told: told.lost(2, 1),
    "a loss ahead of its turn": lambda told: told.lost(3, 4),
    "a loss of another's": lambda told: Told(7, spool=9).lost(1, 1),
    "a file from 2^64": lambda told: told.header(BLOCKS, MOST),
    "a file from 0": lambda told: told.header(BLOCKS, 0),
    "another session's file": lambda told: Told(7, spool=9).header(BLOCKS),
}


@pytest.mark.parametrize("which", LIES)
def test_a_number_that_cannot_be_costs_the_stream(running: Running, node: str, which: str) -> None:
    """With its reason; what came before is kept, nothing is called lost, and the next stream goes on where it was."""
    told = Told()
    with AgentEnd(running.grpc) as end:
        end.send(hello(told.listed(), node=node)).welcome()
        end.send(told.header(BLOCKS), told.tick(BLOCKS)).acked(told, 1)
        code, text = end.send(LIES[which](told)).end()
        assert (code, text != "") == (grpc.StatusCode.INVALID_ARGUMENT, True)
    with AgentEnd(running.grpc) as end:
        assert end.send(hello(told.listed(), node=node)).welcome() == {(Lane.LANE_SAMPLES, 1): (1, False)}
        end.send(told.header(BLOCKS), told.tick(OTHERS)).acked(told, 2)
        assert b"node_load1 0.75\n" in running.get(page(node))
        (session,) = running.node(node)["sessions"]
        assert (session["records"], session["gaps"]) == (2, [])


@pytest.mark.parametrize(
    ("number", "base", "last"),
    [(MOST, 0, 0), (1, MOST, 0), (1, 0, MOST), (1, MOST, MOST), (1, 2**62, 2**63), (0, 0, 0)],
)
def test_a_hello_with_numbers_that_cannot_be(running: Running, node: str, number: int, base: int, last: int) -> None:
    """It costs its stream, and nothing of it is remembered."""
    told = Told()
    told.key.number, told.last = number, last
    with AgentEnd(running.grpc) as end:
        assert end.send(hello(told.listed(base=base), node=node)).end()[0] == grpc.StatusCode.INVALID_ARGUMENT
    assert running.node(node) == {}


def test_bombs_do_not_add_up(running: Running, node: str) -> None:
    """64 records that would be 4 GiB, and 64 of the largest size: memory stays as it was, and the page is served."""
    told = Told()
    with AgentEnd(running.grpc) as end:
        end.send(hello(told.listed(), node=node)).welcome()
        end.send(told.header(BLOCKS), told.tick(BLOCKS)).acked(told, 1)
        before = resident_bytes(running)
        for kind in (bomb(1 << 20), Record(body_bytes=1 << 20, body=bytes(255 << 10))):
            for _ in range(BOMBS):
                told.last += 1
                bad = Record()
                bad.CopyFrom(kind)
                bad.sid, bad.seq = told.sid, told.last
                end.send(told.header(BLOCKS, told.last), AgentMessage(record=bad))
            end.acked(told, told.last)
        assert resident_bytes(running) - before < GROWTH_BYTES
        assert b"node_load1 0.5\n" in running.get(page(node))
        end.send(told.header(BLOCKS), told.tick(OTHERS)).acked(told, 2 * BOMBS + 2)
        (session,) = running.node(node)["sessions"]
        assert (session["records"], session["refused"]) == (2, 2 * BOMBS)
