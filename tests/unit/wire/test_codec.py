"""Batches through encoder, record and decoder."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.exposition.render import Renderer
from agent.model import Block, Family
from agent.wire.decoder import Decoder
from agent.wire.encoder import KEYFRAME_EVERY, Encoder
from agent.wire.ingest_pb2 import Body
from agent.wire.record import pack, unpack
from tests.unit.wire.batches import FAMILIES, VALUES, batches, bits, block, exactly

SID = bytes(range(16))
LOAD, CPU, FAULTS, DURATION, _ = FAMILIES


class Stream:
    """Both ends of one file."""

    def __init__(self, *blocks: Block) -> None:
        self.encoder = Encoder()
        self.decoder = Decoder(self.encoder.begin(blocks))
        self.seq = 0

    def sent(self, *blocks: Block, keyframe: bool = False) -> Body:
        """What the other end made of these blocks is exactly these; the message that told it."""
        self.seq += 1
        body = unpack(pack(SID, self.seq, self.encoder.tick(blocks, 1000 + self.seq, self.seq, keyframe))).body
        self.decoder.apply(body)
        assert exactly(self.decoder.blocks()) == exactly(blocks)
        assert (self.decoder.unix_ms, self.decoder.boot_ms) == (1000 + self.seq, self.seq)
        return body


@settings(deadline=None, max_examples=300)
@given(st.lists(batches(), min_size=1, max_size=8), st.integers(0, 3))
def test_any_batches_come_back_exactly(sent: list[tuple[Block, ...]], keyframe_at: int) -> None:
    """Whatever series come, go, change their type, value or place: the other end has them bit by bit."""
    stream = Stream(*sent[0])
    for number, blocks in enumerate(sent):
        stream.sent(*blocks, keyframe=number == keyframe_at)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.lists(VALUES, min_size=3, max_size=3), min_size=1, max_size=30))
def test_any_values_of_the_same_series_come_back_exactly(rows: list[list[float]]) -> None:
    """Through keyframes, and where a value is what the other end already has in all but type, sign or payload."""
    stream = Stream()
    keys = (("0", "user"), ("0", "system"), ("1", "user"))
    for row in rows:
        stream.sent(Block(CPU, keys, row))


@given(st.lists(st.sampled_from([0.0, -0.0, 0, 1, 1.0, float("nan")]), min_size=2, max_size=30))
def test_equal_is_not_the_same(values: list[float]) -> None:
    """0, 0.0 and -0.0 are equal to Python, 1 and 1.0 too, and are never taken for each other."""
    stream = Stream(block(LOAD, {(): values[0]}))
    for value in values:
        stream.sent(block(LOAD, {(): value}))


def test_nan_payloads_and_infinities() -> None:
    """A stale marker is a NaN with a payload; another payload is another value."""
    stale, other = (struct.unpack("<d", struct.pack("<Q", raw))[0] for raw in (0x7FF0000000000002, 0xFFF8000000000001))
    stream = Stream(block(LOAD, {(): stale}))
    for value in (stale, stale, other, float("inf"), float("-inf"), -0.0, 0.0, 5e-324, 0.1):
        stream.sent(block(LOAD, {(): value}))
    assert bits(stream.decoder.blocks()[0].values[0]) == bits(0.1)


def test_only_what_changed_is_sent() -> None:
    """A tick has the integers, at their scale, of the slots whose value is another, less what they were."""
    stream = Stream(block(CPU, {("0", "user"): 10.25, ("0", "idle"): 99.5}), block(FAULTS, {("a",): 7}))
    first = stream.sent(block(CPU, {("0", "user"): 10.25, ("0", "idle"): 99.5}), block(FAULTS, {("a",): 7}))
    assert (list(first.tick.turn_step), list(first.tick.delta)) == ([], [1025, 995, 7])
    assert first.tick.keyframe
    second = stream.sent(block(CPU, {("0", "user"): 10.5, ("0", "idle"): 99.5}), block(FAULTS, {("a",): 9}))
    assert (list(second.tick.turn_step), list(second.tick.delta)) == ([1, 2], [25, 2])
    assert not second.tick.keyframe
    assert not second.HasField("more")
    assert not second.tick.HasField("order")


def test_what_moves_is_named_when_it_begins_to_and_when_it_ends() -> None:
    """What moved in the tick before and does again costs its difference and nothing else."""
    a, b = ("0", "user"), ("0", "idle")
    stream = Stream(block(CPU, {a: 1, b: 1}))
    ticks = [stream.sent(block(CPU, {a: n, b: 1 if n < 4 else 2})).tick for n in (1, 2, 3, 4, 5)]
    assert [list(tick.turn_step) for tick in ticks] == [[], [1], [], [2], [2]]
    assert [list(tick.delta) for tick in ticks] == [[1, 1], [1], [1], [1, 1], [1]]


def test_more_decimals_change_the_scale_once() -> None:
    """A value with more decimals than the first had makes its slot's scale finer; it is said again in a keyframe."""
    stream = Stream(block(LOAD, {(): 1.5}))
    stream.sent(block(LOAD, {(): 1.5}))
    finer = stream.sent(block(LOAD, {(): 1.125})).tick
    assert (list(finer.scale_step), list(finer.scale), list(finer.delta)) == ([1], [3], [1125])
    again = stream.sent(block(LOAD, {(): 1.25})).tick
    assert (list(again.scale_step), list(again.delta)) == ([], [125])
    keyframe = stream.sent(block(LOAD, {(): 1.25}), keyframe=True).tick
    assert (list(keyframe.scale_step), list(keyframe.scale), list(keyframe.delta)) == ([1], [3], [1250])


def test_what_is_no_short_decimal_goes_as_the_bits_of_the_double() -> None:
    """Less those it had. In a keyframe a shorter value is a decimal number again."""
    stream = Stream(block(LOAD, {(): 0.5}))
    stream.sent(block(LOAD, {(): 0.5}))
    third = stream.sent(block(LOAD, {(): 1 / 3})).tick
    assert (list(third.scale), list(third.delta)) == ([-2], [0x3FD5555555555555])
    assert list(stream.sent(block(LOAD, {(): 0.25})).tick.delta) == [0x3FD0000000000000 - 0x3FD5555555555555]
    assert list(stream.sent(block(LOAD, {(): 0.75}), keyframe=True).tick.delta) == [75]


def test_ints_of_64_bits_and_beyond() -> None:
    """Without a sign too; one that is wider comes as the double that every reader makes of it."""
    stream = Stream(block(LOAD, {(): 0}))
    for value in (0, 2**63 - 1, -(2**63), 2**63 - 1, 2**63, 2**64 - 1, 0, -1):
        stream.sent(block(LOAD, {(): value}))
    for wide, double in ((2**64, 2.0**64), (-(2**64), -(2.0**64)), (10**400, float("inf")), (3, 3)):
        stream.decoder.apply(stream.encoder.tick((block(LOAD, {(): wide}),), 1, 1))
        assert [bits(value) for value in stream.decoder.blocks()[0].values] == [bits(double)]


def test_a_keyframe_needs_the_names_and_nothing_else() -> None:
    """Whoever knows which slots there are reads on from it: what a history is looked up by."""
    stream = Stream(block(LOAD, {(): 1.5}), block(FAULTS, {("a",): 1}))
    schema = stream.encoder.begin((block(LOAD, {(): 1.5}), block(FAULTS, {("a",): 1})))
    for value in (1.5, 1.125, 1 / 3):
        stream.encoder.tick((block(LOAD, {(): value}), block(FAULTS, {("a",): 2})), 1, 1)
    late, last = Decoder(schema), (block(LOAD, {(): 1 / 7}), block(FAULTS, {("a",): 3}))
    late.apply(stream.encoder.tick((block(LOAD, {(): 2.0625}),), 1, 1, keyframe=True))
    late.apply(stream.encoder.tick(last, 5, 6))
    assert exactly(late.blocks()) == exactly(last)
    assert (late.unix_ms, late.boot_ms) == (5, 6)


def test_series_come_go_and_change_places() -> None:
    """A new one gets the next slot, one that went has none, and the order of the agent is kept."""
    a, b, c = ("0", "user"), ("1", "user"), ("2", "user")
    stream = Stream(block(CPU, {a: 1, b: 2}), block(LOAD, {(): 0.5}))
    stream.sent(block(CPU, {a: 1, b: 2}), block(LOAD, {(): 0.5}))
    more = stream.sent(block(CPU, {a: 1, c: 3, b: 2}), block(LOAD, {(): 0.5}))
    assert list(more.tick.order.step) == [1, 3, -2, 1]
    assert list(more.tick.delta) == [3]
    gone = stream.sent(block(LOAD, {(): 0.5}), block(CPU, {c: 3}))
    assert (list(gone.tick.order.step), list(gone.tick.delta)) == ([3, 1], [])
    back = stream.sent(block(CPU, {a: 1, c: 3}), block(LOAD, {(): 0.5}))
    assert list(back.tick.delta) == [1]
    assert not back.HasField("more")
    stream.sent()
    stream.sent(block(FAULTS, {("x",): 1}))
    assert stream.encoder.slots == 5


def test_keys_stay_the_same_objects() -> None:
    """Rendering remembers by the keys object: it is kept while the keys are the same, through keyframes and others."""
    stream = Stream(block(CPU, {("0", "user"): 1}))
    stream.sent(block(CPU, {("0", "user"): 1}))
    family, keys, _ = stream.decoder.blocks()[0]
    stream.sent(block(CPU, {("0", "user"): 2}), keyframe=True)
    stream.sent(block(LOAD, {(): 1}), block(CPU, {("0", "user"): 3}))
    assert stream.decoder.blocks()[1].family is family
    assert stream.decoder.blocks()[1].keys is keys


def test_nodes_share_the_texts_of_their_labels() -> None:
    """A thousand nodes have a thousand times the same names, and each is in memory once, for all its series."""
    blocks = (block(CPU, {("a long name", "user"): 1, ("a long name", "idle"): 1}),)
    first, second = Stream(*blocks), Stream(*blocks)
    for stream in (first, second):
        stream.sent(*blocks)
    texts = [key[0] for stream in (first, second) for key in stream.decoder.blocks()[0].keys]
    assert len({id(text) for text in texts}) == 1
    assert first.decoder.blocks()[0].family.help is second.decoder.blocks()[0].family.help


def test_a_keyframe_every_twelfth() -> None:
    """The first tick of a file and every twelfth after it say everything."""
    stream = Stream(block(LOAD, {(): 1}))
    kinds = [stream.sent(block(LOAD, {(): 1})).tick.keyframe for _ in range(2 * KEYFRAME_EVERY + 1)]
    assert [number for number, kind in enumerate(kinds) if kind] == [0, 12, 24]


def test_a_new_file_begins_from_nothing() -> None:
    """What one file told is not needed to read the next."""
    stream = Stream(block(LOAD, {(): 1.5}), block(FAULTS, {("a",): 1}))
    stream.sent(block(LOAD, {(): 1.5}))
    stream.decoder = Decoder(stream.encoder.begin((block(FAULTS, {("a",): 5}),)))
    assert list(stream.sent(block(FAULTS, {("a",): 5})).tick.delta) == [5]
    assert stream.encoder.slots == 1


def test_the_exposition_is_the_same_text() -> None:
    """An int beyond every double is infinite to every reader: cut on the way, rendered alike."""
    blocks = (block(LOAD, {(): 10**400}), block(DURATION, {("_bucket", "0.5", "/"): 3, ("_sum", "", "/"): 0.125}))
    stream = Stream()
    stream.decoder.apply(stream.encoder.tick(blocks, 1, 1))
    assert Renderer().render(stream.decoder.blocks(), "text") == Renderer().render(blocks, "text")


def test_values_without_keys_are_our_own_defect() -> None:
    """A collector that gives more values than keys must not shift everybody's."""
    stream, right = Stream(), Block(LOAD, ((),), [1])
    for wrong in (Block(LOAD, ((),), [1, 2]), Block(CPU, (("0", "user"),), [1, 2])):
        for call in (lambda: stream.encoder.begin((wrong,)), lambda: stream.encoder.tick((wrong,), 1, 1)):  # noqa: B023
            with pytest.raises(ValueError, match="2 values for 1 keys"):
                call()
        stream.sent(right)


def test_a_help_text_that_is_too_long_is_cut() -> None:
    """It comes from a text file of anybody's: it costs itself, not the stream."""
    stream = Stream()
    stream.decoder.apply(stream.encoder.tick((block(Family("x", "gauge", "h" * 5000), {(): 1}),), 1, 1))
    assert stream.decoder.blocks()[0].family.help == "h" * 4096


def test_a_series_that_is_there_twice_counts_once() -> None:
    """A collector's defect does not stop the stream: the first of the two is kept."""
    stream = Stream()
    twice = Block(CPU, (("0", "user"), ("0", "user"), ("1", "user")), [1, 2, 3])
    for _ in range(2):
        stream.decoder.apply(stream.encoder.tick((twice,), 1, 1))
        assert list(stream.decoder.blocks()[0].values) == [1, 3]
