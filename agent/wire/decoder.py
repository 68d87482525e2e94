"""Columnar ticks back as batches. Any message gives the next state, or ProtocolError and the state as it was.

The same arithmetic as the encoder's: an integer n at scale e is the double n / 10^e, correctly rounded on both ends.
"""

from __future__ import annotations

import struct
from collections.abc import MutableSequence
from itertools import accumulate, groupby
from operator import itemgetter
from typing import Final, NamedTuple

from agent.errors import ProtocolError
from agent.model import Block, Family, Key, Value
from agent.wire.ingest_pb2 import Body, Schema, Tick
from agent.wire.limits import LIMITS, Limits
from agent.wire.schema import INTEGER, Named, check_scales

WIDE_BYTES_MAX: Final = 130
INT64: Final = 1 << 63
SUSPECT: Final = 1 << 53  # no sum of a file's smaller differences is anything to worry about


class _State(NamedTuple):
    """After a tick. The lists are never changed once they are in here; ``factors`` has None for ints."""

    named: Named
    factors: list[float | None]
    integers: list[int]
    values: list[Value | None]
    order: tuple[int, ...]
    absent: frozenset[int]
    begun: bool


class _Run(NamedTuple):
    """A block to be: its samples are those from ``start`` on in the order of the agent."""

    family: Family
    keys: tuple[Key, ...]
    start: int


class Decoder:
    """One file of the samples lane. Raises ProtocolError. Not shared between threads."""

    def __init__(self, schema: Schema, limits: Limits = LIMITS) -> None:
        self._limits = limits
        self._state = _extended(_State(Named(), [], [], [], (), frozenset(), False), schema, limits)
        self._runs: tuple[_Run, ...] = ()
        self._blocks: tuple[Block, ...] | None = ()
        self.unix_ms = 0
        self.boot_ms = 0

    def apply(self, body: Body) -> None:
        """One record of the file, in turn. On ProtocolError nothing has changed."""
        if not body.HasField("tick"):
            raise ProtocolError("a record of the samples lane without a tick")
        tick, state = body.tick, self._state
        if body.HasField("more"):
            state = _extended(state, body.more, self._limits)
        state, named = _applied(state, tick)
        if tick.keyframe or tick.HasField("order") or state.named is not self._state.named:
            state = _ordered(state, tick, self._state.order, named)
            if state.order != self._state.order:
                self._runs = _runs(state, self._runs)
        elif state.absent and not state.absent.isdisjoint(named):
            raise ProtocolError("a value for a slot that has ended")
        self._state, self._blocks = state, None
        self.unix_ms, self.boot_ms = tick.unix_ms, tick.boot_ms

    def blocks(self) -> tuple[Block, ...]:
        """What the agent's batch said, in its order. Keys are the same objects for as long as they are the same."""
        if self._blocks is None:
            values, order = self._state.values, self._state.order
            row = [values[slot] for slot in order]
            self._blocks = tuple(
                Block(family, keys, row[start : start + len(keys)])  # type: ignore[arg-type]
                for family, keys, start in self._runs
            )
        return self._blocks


def _extended(state: _State, schema: Schema, limits: Limits) -> _State:
    named = state.named.extended(schema, limits)
    more = len(named.slots) - len(state.named.slots)
    check_scales(schema.slot_scale, more)
    return state._replace(
        named=named,
        factors=state.factors + [_factor(scale) for scale in schema.slot_scale],
        integers=state.integers + [0] * more,
        values=state.values + [None] * more,
        absent=state.absent.union(range(len(state.values), len(named.slots))),
    )


def _factor(scale: int) -> float | None:
    return None if scale == INTEGER else 10.0**scale


def _applied(state: _State, tick: Tick) -> tuple[_State, list[int]]:
    """The values after this tick, and the slots that it named."""
    count = len(state.values)
    if not (state.begun or tick.keyframe):
        raise ProtocolError("a file that does not begin with a keyframe")
    factors, integers, values = state.factors, state.integers.copy(), state.values.copy()
    if tick.keyframe:
        integers, values = [0] * count, [None] * count
    if tick.scale_step:
        factors = factors.copy()
        slots = _slots(tick.scale_step, len(tick.scale), count)
        check_scales(tick.scale, len(slots))
        for slot, scale in zip(slots, tick.scale, strict=True):
            factors[slot], integers[slot] = _factor(scale), 0
    named = _slots(tick.int_step, len(tick.int_delta), count)
    deltas = tick.int_delta[:]
    for slot, delta in zip(named, deltas):  # noqa: B905  # as long as each other, and this is the hot loop
        number = integers[slot] = integers[slot] + delta
        factor = factors[slot]
        values[slot] = number if factor is None else number / factor
    suspect = bool(deltas) and not -SUSPECT < min(deltas) <= max(deltas) < SUSPECT
    if suspect and not all(-INT64 <= integers[slot] < INT64 for slot in named):
        raise ProtocolError("an integer of more than 64 bits")
    if tick.real_step or tick.wide_step:
        named = named + _exact(tick, integers, values)
        if len(set(named)) < len(named):
            raise ProtocolError("a slot with two values")
    return state._replace(factors=factors, integers=integers, values=values, begun=True), named


def _exact(tick: Tick, integers: list[int], values: list[Value | None]) -> list[int]:
    """The doubles and the wide integers."""
    reals = _slots(tick.real_step, len(tick.real_bits), len(values))
    doubles = struct.unpack(f"<{len(reals)}d", struct.pack(f"<{len(reals)}Q", *tick.real_bits))
    wides = _slots(tick.wide_step, len(tick.wide), len(values))
    if any(len(one) > WIDE_BYTES_MAX for one in tick.wide):
        raise ProtocolError("an integer that is too wide")
    for slot, value in zip(reals, doubles, strict=True):
        integers[slot], values[slot] = 0, value
    for slot, digits in zip(wides, tick.wide, strict=True):
        integers[slot], values[slot] = 0, int.from_bytes(digits, "big", signed=True)
    return reals + wides


def _slots(steps: MutableSequence[int], values: int, count: int) -> list[int]:
    """The slots that a column names: each once, rising, and there."""
    if len(steps) != values or values > count:
        raise ProtocolError("columns that differ in length, or name more slots than there are")
    if not values:
        return []
    own = steps[:]  # as a list, which is read several times faster
    own[0] -= 1
    slots = list(accumulate(own))
    if own[0] < 0 or own.count(0) > (own[0] == 0) or slots[-1] >= count:
        raise ProtocolError("a slot that is named twice, or is not there")
    return slots


def _ordered(state: _State, tick: Tick, before: tuple[int, ...], named: list[int]) -> _State:
    """Which slots have a value, and in which order. A slot that is in the order has one, and no other has."""
    count = len(state.values)
    order = before
    if tick.HasField("order"):
        if len(tick.order.step) > count:
            raise ProtocolError("an order of more slots than there are")
        order = tuple([slot - 1 for slot in accumulate(tick.order.step)])
    elif tick.keyframe:
        if len(named) < count:  # each is there once
            raise ProtocolError("a keyframe without an order that does not name every slot")
        return state._replace(order=tuple(range(count)), absent=frozenset())
    present = frozenset(order)
    if len(present) < len(order) or (order and not 0 <= min(order) <= max(order) < count):
        raise ProtocolError("an order with a slot twice, or one that is not there")
    had = frozenset(() if tick.keyframe else before)
    if not present.issuperset(named) or not present <= had.union(named):
        raise ProtocolError("an order without a slot that has a value, or with one that has none")
    absent = frozenset(range(count)) - present
    for slot in absent:
        state.values[slot], state.integers[slot] = None, 0
    return state._replace(order=order, absent=absent)


def _runs(state: _State, before: tuple[_Run, ...]) -> tuple[_Run, ...]:
    """The blocks in the order of the agent, with their keys of before where they are equal."""
    known = {run.family: run.keys for run in before}
    runs: list[_Run] = []
    start = 0
    for number, slots in groupby(map(state.named.slots.__getitem__, state.order), key=itemgetter(0)):
        family, keys = state.named.families[number], tuple([key for _, key in slots])
        runs.append(_Run(family, known[family] if known.get(family) == keys else keys, start))
        start += len(keys)
    if len({run.family.name for run in runs}) < len(runs):
        raise ProtocolError("a family in two places")
    return tuple(runs)
