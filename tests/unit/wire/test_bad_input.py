"""What a damaged spool, a future version or a hostile peer may send: it costs itself and nothing else."""

from __future__ import annotations

import contextlib
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import ProtocolError
from agent.wire.decoder import Decoder
from agent.wire.encoder import Encoder
from agent.wire.ingest_pb2 import Body, Family, Order, Record, Schema, Tick
from agent.wire.limits import LIMITS, SEQUENCE_MAX
from agent.wire.record import deflated, pack, unpack
from tests.unit.wire.batches import FAMILIES, batches, block, exactly

SID = bytes(16)
LOAD, CPU, FAULTS, DURATION, _ = FAMILIES
BLOCKS = (
    block(CPU, {("0", "user"): 1.25, ("0", "idle"): 99.5}),
    block(FAULTS, {("a",): 7}),
    block(DURATION, {("_sum", "", "/"): 1 / 3}),
)


def begun() -> tuple[Decoder, Encoder]:
    """Both ends after their first tick."""
    encoder = Encoder()
    decoder = Decoder(encoder.begin(BLOCKS))
    decoder.apply(encoder.tick(BLOCKS, 1, 1))
    return decoder, encoder


def refused(decoder: Decoder, body: Body) -> None:
    """It is, and the decoder is as before: the next good tick applies."""
    before, keys = exactly(decoder.blocks()), [one.keys for one in decoder.blocks()]
    with pytest.raises(ProtocolError):
        decoder.apply(body)
    assert exactly(decoder.blocks()) == before
    assert all(one.keys is same for one, same in zip(decoder.blocks(), keys, strict=True))


@settings(max_examples=500)
@given(st.binary(max_size=300))
def test_any_bytes_are_no_record(data: bytes) -> None:
    """No other exception than ProtocolError: as a record, and as the body of a good one."""
    with pytest.raises(ProtocolError):
        unpack(data)
    decoder, _ = begun()
    with contextlib.suppress(ProtocolError):
        decoder.apply(unpack(sealed(data)).body)
    decoder.blocks()


@settings(deadline=None, max_examples=500)
@given(st.lists(batches(), min_size=2, max_size=3), st.data())
def test_a_mutated_body_is_a_state_or_refused(sent: list[tuple[object, ...]], data: st.DataObject) -> None:
    """Bytes of a good body changed, cut or put in, with a right checksum, as a hostile peer would."""
    encoder = Encoder()
    decoder = Decoder(encoder.begin(sent[0]))  # type: ignore[arg-type]
    for number, blocks in enumerate(sent):
        body = encoder.tick(blocks, number, number)  # type: ignore[arg-type]
        bad = bytearray(body.SerializeToString())
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(bad)))
            bad[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
        before = exactly(decoder.blocks())
        try:
            decoder.apply(unpack(sealed(bytes(bad))).body)
        except ProtocolError:
            assert exactly(decoder.blocks()) == before
        else:
            decoder.blocks()


def sealed(plain: bytes) -> bytes:
    """A record around any body."""
    squeezed = deflated(plain)
    return Record(
        sid=SID, seq=1, body_bytes=len(plain), body_crc32=zlib.crc32(plain), body=squeezed
    ).SerializeToString()


def test_bombs_and_lies_about_sizes() -> None:
    """Inflating stops at the declared size, and that has a bound: 64 MiB of zeros cost less than 3 MiB."""
    bomb = zlib.compress(bytes(64 << 20), 9, -15)
    tracemalloc.start()
    try:
        for declared in (0, 10, LIMITS.body_bytes, LIMITS.body_bytes + 1, 64 << 20, 0xFFFFFFFF):
            with pytest.raises(ProtocolError):
                unpack(Record(sid=SID, seq=1, body_bytes=declared, body=bomb).SerializeToString())
        assert tracemalloc.get_traced_memory()[1] < 3 << 20
    finally:
        tracemalloc.stop()
    with pytest.raises(ProtocolError):
        unpack(bytes(LIMITS.record_bytes + 1))


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.ClearField("sid"),
        lambda record: setattr(record, "sid", bytes(17)),
        lambda record: setattr(record, "seq", 0),
        lambda record: setattr(record, "seq", SEQUENCE_MAX + 1),
        lambda record: setattr(record, "seq", 2**64 - 1),
        lambda record: setattr(record, "body_bytes", record.body_bytes - 1),
        lambda record: setattr(record, "body_bytes", record.body_bytes + 1),
        lambda record: setattr(record, "body_crc32", record.body_crc32 ^ 1),
        lambda record: setattr(record, "body", record.body[:-1]),
        lambda record: setattr(record, "body", record.body + b"\0"),
        lambda record: setattr(record, "body", b""),
        lambda record: setattr(record, "body", zlib.compress(b"x")),
    ],
)
def test_a_record_that_is_not_what_it_says(change: Callable[[Record], None]) -> None:
    """Each field is checked; the largest sequence passes."""
    good = pack(SID, SEQUENCE_MAX, Body(tick=Tick(keyframe=True)))
    assert unpack(good).seq == SEQUENCE_MAX
    record = Record.FromString(good)
    change(record)
    with pytest.raises(ProtocolError):
        unpack(record.SerializeToString())


def test_what_a_future_version_adds_is_ignored() -> None:
    """Fields that we do not know, in a record and in its body, as field 1000."""
    unknown = b"\xc2\x3e\x03abc"
    plain = Body(tick=Tick(keyframe=True, unix_ms=5)).SerializeToString() + unknown
    assert unpack(sealed(plain) + unknown).body.tick.unix_ms == 5


HUGE = 0xFFFFFFFF


@pytest.mark.parametrize(
    "body",
    [
        Body(),
        Body(tick=Tick(turn_step=[5], delta=[1])),  # no such slot
        Body(tick=Tick(turn_step=[HUGE, HUGE], delta=[1, 1])),  # sums that would overflow
        Body(tick=Tick(turn_step=[0], delta=[1])),
        Body(tick=Tick(turn_step=[1, 0], delta=[1, 1])),
        Body(tick=Tick(turn_step=[1], delta=[])),
        Body(tick=Tick(turn_step=[1], delta=[1, 2])),
        Body(tick=Tick(turn_step=[1] * 5, delta=[1] * 5)),
        Body(tick=Tick(turn_step=[3], delta=[2**63 - 1])),  # 7 + that has more than 64 bits
        Body(tick=Tick(scale_step=[1], scale=[23])),
        Body(tick=Tick(scale_step=[1], scale=[-4])),
        Body(tick=Tick(scale_step=[1], scale=[])),
        Body(tick=Tick(scale_step=[HUGE], scale=[1])),
        Body(tick=Tick(scale_step=[1, 0], scale=[1, 1])),
        Body(tick=Tick(scale_step=[1], scale=[5], turn_step=[9], delta=[1])),  # the first half is good
        Body(tick=Tick(order=Order(step=[1, 1, 1, 1, 1]))),
        Body(tick=Tick(order=Order(step=[1, 1, -1]))),
        Body(tick=Tick(order=Order(step=[0]))),
        Body(tick=Tick(order=Order(step=[-(2**31)]))),
        Body(tick=Tick(order=Order(step=[1, 2, -1, 2]))),  # cpu is in two places
        Body(tick=Tick(keyframe=True, delta=[1])),  # three slots have none
        Body(tick=Tick(keyframe=True, delta=[1] * 5)),
        Body(tick=Tick(), more=Schema(symbols=["x"], slot_family=[7], slot_scale=[-1])),
        Body(tick=Tick(), more=Schema(symbols=["x"], slot_family=[0], keys=[0], slot_scale=[-1])),
        Body(tick=Tick(), more=Schema(symbols=["x"], slot_family=[0], keys=[0, 0, 0], slot_scale=[-1])),
        Body(tick=Tick(), more=Schema(symbols=["x"], slot_family=[0], keys=[0, 1], slot_scale=[-1])),
        Body(tick=Tick(), more=Schema(symbols=["x"], slot_family=[0], keys=[0, HUGE], slot_scale=[-1])),
        Body(tick=Tick(), more=Schema(symbols=["x"], slot_family=[0], keys=[0, 0], slot_scale=[])),
        Body(tick=Tick(), more=Schema(symbols=["x"], slot_family=[0, 0], keys=[0] * 4, slot_scale=[-1] * 2)),
        Body(tick=Tick(), more=Schema(symbols=["0", "user"], slot_family=[0], keys=[0, 1], slot_scale=[2])),
        Body(tick=Tick(), more=Schema(symbols=["x"], slot_family=[2], keys=[0, 0, 0], slot_scale=[-1])),  # a suffix
    ],
)
def test_a_tick_that_contradicts_itself(body: Body) -> None:
    """Each is refused as a whole; the state is as before, and the next good tick applies."""
    decoder, encoder = begun()
    refused(decoder, body)
    moved = (block(CPU, {("0", "user"): 1.5, ("0", "idle"): 99.75}), *BLOCKS[1:])
    decoder.apply(encoder.tick(moved, 2, 2))
    assert exactly(decoder.blocks()) == exactly(moved)


@pytest.mark.parametrize(
    "tick",
    [
        Tick(turn_step=[3], delta=[1]),  # it has ended, and is in no order
        Tick(turn_step=[3], delta=[1], order=Order(step=[1, 1])),
        Tick(order=Order(step=[1, 1, 1])),  # back in the order, but without a value
    ],
)
def test_a_slot_that_has_ended(tick: Tick) -> None:
    """It has no value without a place, and no place without a value."""
    decoder, encoder = begun()
    decoder.apply(encoder.tick((BLOCKS[0], BLOCKS[2]), 2, 2))
    refused(decoder, Body(tick=tick))
    decoder.apply(encoder.tick(BLOCKS, 3, 3))
    assert exactly(decoder.blocks()) == exactly(BLOCKS)


def gauge(**fields: object) -> Family:
    """``x{a="..."}``, with these fields in place of its own."""
    return Family(**{"name": "x", "type": 2, "labels": ["a"], **fields})


def slots(*families: int, **columns: object) -> Schema:
    """Slots of one gauge, with these columns in place of their own."""
    one = {"symbols": ["x"], "slot_family": families, "keys": [0] * len(families), "slot_scale": [2] * len(families)}
    return Schema(families=[gauge()], **{**one, **columns})


@pytest.mark.parametrize(
    "schema",
    [
        Schema(families=[gauge(type=0)]),
        Schema(families=[gauge(type=6)]),
        Schema(families=[gauge(name='x{a="1"} 1\ny')]),
        Schema(families=[gauge(name="x\n")]),
        Schema(families=[gauge(name="")]),
        Schema(families=[gauge(labels=["a b"])]),
        Schema(families=[gauge(labels=["é"])]),
        Schema(families=[gauge(labels=["a", "a"])]),
        Schema(families=[gauge(labels=["le"], type=4)]),
        Schema(families=[gauge(help="h" * (LIMITS.help + 1))]),
        slots(0, slot_scale=[23]),
        slots(0, slot_scale=[]),
        slots(1),
        slots(-1),
        slots(0, 1),
        slots(0, -1),
        slots(0, keys=[]),
        slots(0, keys=[0, 0]),
        slots(0, keys=[1]),
        slots(0, keys=[HUGE]),
        slots(0, 0),
    ],
)
def test_a_schema_that_would_spoil_an_exposition(schema: Schema) -> None:
    """Names that are none, families and symbols that are not there, columns that differ, labels and series twice."""
    with pytest.raises(ProtocolError):
        Decoder(schema)
    Decoder(slots(0))


def test_a_schema_has_bounds() -> None:
    """So many slots and families; and so much text, because one long symbol may be in every label."""
    few = LIMITS._replace(slots=2, families=1, text=10)
    Decoder(slots(0, 0, keys=[0, 1], symbols=["x", "a"]), few)
    for schema in (
        slots(0, 0, 0, keys=[0, 1, 2], symbols=["x", "a", "b"]),
        Schema(families=[gauge(), gauge()]),
        slots(0, symbols=["t" * 11]),
    ):
        with pytest.raises(ProtocolError):
            Decoder(schema, few)


def test_the_largest_body_costs_bounded_memory() -> None:
    """A million entries in a column are refused by their number, before anything is made of them."""
    decoder, _ = begun()
    body = Body(tick=Tick(turn_step=[1] * 400_000, delta=[1] * 400_000))
    wide = Body(more=Schema(symbols=["x"], slot_family=[1] * 400_000, keys=[0] * 400_000, slot_scale=[0] * 400_000))
    tracemalloc.start()
    try:
        refused(decoder, body)
        wide.tick.SetInParent()
        refused(decoder, wide)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_file_begins_with_a_keyframe() -> None:
    """A tick that says what changed since another is of no use without that one."""
    decoder = Decoder(Encoder().begin(BLOCKS))
    refused(decoder, Body(tick=Tick(turn_step=[1], delta=[1])))
    assert decoder.blocks() == ()
