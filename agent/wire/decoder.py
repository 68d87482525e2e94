"""Columnar ticks back as batches. Any message gives the next state, or ProtocolError and the state as it was.

What is kept of a tick is an integer for each slot: values are made of them when somebody asks.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, MutableSequence
from itertools import accumulate, compress, groupby
from typing import Any, Final, NamedTuple

from agent.errors import ProtocolError
from agent.model import Block, Family, Key
from agent.wire.ingest_pb2 import Body, Schema, Tick
from agent.wire.limits import LIMITS, Limits
from agent.wire.scales import INTEGER, LEAST, MOST, byte_of, value_of
from agent.wire.schema import Named

_tuple: Final = tuple.__new__  # what Block(...) comes down to, at half the price
_FACTORS: Final = [10.0 ** (byte + LEAST) if byte + LEAST >= 0 else 0.0 for byte in range(MOST - LEAST + 1)]
_SLOTS: Final[list[int]] = []
_IS_OTHER: Final = bytes(byte != INTEGER - LEAST for byte in range(256))


class _State(NamedTuple):
    """After a tick; nothing in here is changed any more. ``moves`` and ``present`` have a byte for each slot: 1 where
    it moved, and where it has a value. ``order`` is of the latter."""

    named: Named
    scales: bytes  # as ``byte_of``
    integers: array[int]
    moves: bytes
    present: bytes
    order: array[int]
    begun: bool


class _Run(NamedTuple):
    """A block to be: its samples are those from ``start`` to ``end`` in the order of the agent."""

    family: Family
    keys: tuple[Key, ...]
    start: int
    end: int


class Decoder:
    """One file of the samples lane. Raises ProtocolError. Not shared between threads."""

    def __init__(self, schema: Schema, limits: Limits = LIMITS) -> None:
        self._limits = limits
        self._state = _extended(_State(Named(), b"", array("q"), b"", b"", array("I"), False), schema, limits)
        self._runs: tuple[_Run, ...] = ()
        self._others_of = b"", array("I")
        self._others: tuple[array[int], bytes] = array("I"), b""
        self.unix_ms = 0
        self.boot_ms = 0

    def apply(self, body: Body) -> None:
        """One record of the file, in turn. On ProtocolError nothing has changed."""
        if not body.HasField("tick"):
            raise ProtocolError("a record of the samples lane without a tick")
        tick, state = body.tick, self._state
        if body.HasField("more"):
            state = _extended(state, body.more, self._limits)
        state = _applied(state, tick)
        if state.order is not self._state.order:
            self._runs = _runs(state, self._runs)
        self._state = state
        self.unix_ms, self.boot_ms = tick.unix_ms, tick.boot_ms

    def blocks(self) -> tuple[Block, ...]:
        """What the agent's batch said, in its order. Keys are the same objects for as long as they are the same."""
        _, scales, integers, _, _, order, _ = self._state
        if scales is not self._others_of[0] or order is not self._others_of[1]:
            self._others_of, self._others = (scales, order), _others(scales, order)
        row: list[Any] = list(map(integers.__getitem__, order))
        for place, byte in zip(*self._others, strict=True):
            factor = _FACTORS[byte]
            row[place] = row[place] / factor if factor else value_of(row[place], byte + LEAST)
        return tuple([_tuple(Block, (family, keys, row[start:end])) for family, keys, start, end in self._runs])


def _others(scales: bytes, order: array[int]) -> tuple[array[int], bytes]:
    """The places in the order whose values are no plain integers, and their scales."""
    placed = bytes(map(scales.__getitem__, order))
    marks = placed.translate(_IS_OTHER)
    return array("I", compress(range(len(order)), marks)), bytes(compress(placed, marks))


def _extended(state: _State, schema: Schema, limits: Limits) -> _State:
    named = state.named.extended(schema, limits)
    more = len(named.keys) - len(state.named.keys)
    return state._replace(
        named=named,
        scales=state.scales + named.scales[len(state.scales) :],
        integers=state.integers + _zeros(more),
        moves=state.moves + bytes(more),
        present=state.present + bytes(more),
    )


def _applied(state: _State, tick: Tick) -> _State:
    """The integers after this tick."""
    count = len(state.integers)
    if tick.keyframe:
        none = bytes(count)
        state = state._replace(scales=state.named.scales, integers=_zeros(count), moves=none, present=none, begun=True)
    elif not state.begun:
        raise ProtocolError("a file that does not begin with a keyframe")
    integers, order, present = state.integers[:], state.order, state.present
    scales = _rescaled(state.scales, tick, integers) if tick.scale_step else state.scales
    if tick.keyframe or tick.HasField("order"):
        order, present = _order(tick, count, order)
    moves = present if tick.keyframe else _xor(state.moves, _marked(_slots(tick.turn_step, count), count))
    for slot in _ended(state.present, present, moves):
        integers[slot] = 0
    _move(integers, moves, tick.delta[:])
    kept = state.moves if tick.keyframe else moves
    return state._replace(scales=scales, integers=integers, moves=kept, present=present, order=order)


def _ended(had: bytes, present: bytes, moves: bytes) -> Iterable[int]:
    """The slots that have no value any more. All others have, and those that have now moved, or it is a lie."""
    if _less(moves, present) or (present is not had and _less(_less(present, had), moves)):
        raise ProtocolError("a slot that has a value and no place in the order, or a place and no value")
    return () if present is had else compress(_first(len(had)), _less(had, present).to_bytes(len(had), "little"))


def _move(integers: array[int], moves: bytes, deltas: list[int]) -> None:
    if len(deltas) != moves.count(1):
        raise ProtocolError("more differences than slots that move, or fewer")
    try:
        for slot, delta in zip(compress(_first(len(moves)), moves), deltas):  # noqa: B905  # the hot loop
            integers[slot] += delta
    except OverflowError:
        raise ProtocolError("an integer of more than 64 bits") from None


def _zeros(count: int) -> array[int]:
    return array("q", bytes(8 * count))


def _first(count: int) -> list[int]:
    """0, 1, 2, ...: at least so many, the same list for all."""
    _SLOTS.extend(range(len(_SLOTS), count))
    return _SLOTS


def _xor(a: bytes, b: bytes) -> bytes:
    return (int.from_bytes(a, "little") ^ int.from_bytes(b, "little")).to_bytes(len(a), "little")


def _less(a: bytes | int, b: bytes) -> int:
    """The marks of ``a`` that ``b`` has not; 0 if there are none."""
    return (a if isinstance(a, int) else int.from_bytes(a, "little")) & ~int.from_bytes(b, "little")


def _marked(slots: Iterable[int], count: int) -> bytes:
    marks = bytearray(count)
    for slot in slots:
        marks[slot] = 1
    return bytes(marks)


def _rescaled(scales: bytes, tick: Tick, integers: array[int]) -> bytes:
    slots, changed = _slots(tick.scale_step, len(scales)), bytearray(scales)
    if len(slots) != len(tick.scale):
        raise ProtocolError("columns that differ in length")
    for slot, scale in zip(slots, tick.scale, strict=True):
        changed[slot], integers[slot] = byte_of(scale), 0
    return bytes(changed)


def _slots(steps: MutableSequence[int], count: int) -> list[int]:
    """The slots that a column names: each once, rising, and there."""
    if len(steps) > count:
        raise ProtocolError("a column of more slots than there are")
    own = steps[:]  # as a list, which is read several times faster
    slots = [slot - 1 for slot in accumulate(own)]
    if own.count(0) or (slots and slots[-1] >= count):
        raise ProtocolError("a slot that is named twice, or is not there")
    return slots


def _order(tick: Tick, count: int, before: array[int]) -> tuple[array[int], bytes]:
    """The order, the same object where it is the same, and the marks of the slots in it."""
    if len(tick.order.step) > count:
        raise ProtocolError("an order of more slots than there are")
    named = [slot - 1 for slot in accumulate(tick.order.step)] if tick.HasField("order") else list(range(count))
    if named and not 0 <= min(named) <= max(named) < count:
        raise ProtocolError("an order with a slot that is not there")
    present = _marked(named, count)
    if present.count(1) < len(named):
        raise ProtocolError("an order with a slot twice")
    order = array("I", named)
    return (before if order == before else order), present


def _runs(state: _State, before: tuple[_Run, ...]) -> tuple[_Run, ...]:
    """The blocks in the order of the agent, with their keys of before where they are equal."""
    known = {run.family: run.keys for run in before}
    runs: list[_Run] = []
    start = 0
    named = state.named
    for number, slots in groupby(state.order, key=named.numbers.__getitem__):
        family, keys = named.families[number], tuple(map(named.keys.__getitem__, slots))
        same = known.get(family) == keys
        runs.append(_Run(family, known[family] if same else keys, start, start + len(keys)))
        start += len(keys)
    if len({run.family.name for run in runs}) < len(runs):
        raise ProtocolError("a family in two places")
    return tuple(runs)
