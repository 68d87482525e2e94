"""Batches as columnar ticks: only what moved since the tick before, in columns that protobuf packs in C.

Every slot has an integer that stands for its value, exactly (``scales``): of an int it is the int, so that only doubles
need work. Which slots move is told by what is new about it, because mostly the same ones do. What is done for every
sample (gather, compare, look for other types) is done by functions in C.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import compress, repeat
from marshal import dumps
from math import floor
from operator import add, itemgetter, mul, ne, sub, truediv
from typing import Any, Final

from agent.model import Block, Family, Key, Value
from agent.wire.ingest_pb2 import Body, Schema, Tick
from agent.wire.scales import BITS, INT64, INTEGER, integer_of, scale_of
from agent.wire.schema import Table

KEYFRAME_EVERY: Final = 12
_NEGATIVE_ZERO: Final = b"g" + struct.pack("<d", -0.0)  # as marshal writes it


class Encoder:
    """One file of the samples lane at a time. Not shared between threads."""

    def __init__(self) -> None:
        self.begin(())

    @property
    def slots(self) -> int:
        """How many this file has named: those that ended are among them, so a file may have to end for it."""
        return len(self._slots)

    def begin(self, blocks: Sequence[Block]) -> Schema:
        """A new file, whose header names the slots of these blocks. What came before is forgotten."""
        values = [value for block in blocks for value in block.values]
        _check(len(values), sum(len(block.keys) for block in blocks))
        self._table = Table()
        self._age = 0
        self._shape: tuple[list[Family], list[tuple[Key, ...]]] | None = None
        self._samples = 0
        self._gather: Callable[[Sequence[Value]], Sequence[Value]] | None = None
        self._order: list[int] = []
        self._slots: list[int] = []  # 0, 1, 2, ...
        self._integers: list[int] = []
        self._moves = b""  # a byte for each slot: 1 where it moved
        self._fresh: set[int] = set()  # of which the other end has no integer
        self._first_scales: list[int] = []
        self._scales: list[int] = []
        self._rescaled: set[int] = set()
        self._sorted = False  # whether what follows is by these scales
        self._decimal: list[int] = []
        self._odd: list[int] = []
        self._factors: list[float] = []
        self._take: Callable[[Sequence[Value]], tuple[Any, ...]] = tuple
        return self._describe(self._table.place(blocks), values, 0, 0)

    def tick(self, blocks: Sequence[Block], unix_ms: int, boot_ms: int, keyframe: bool = False) -> Body:
        """What these blocks say that the tick before in this file did not. ``keyframe`` repeats everything."""
        families: list[Family] = []
        keys: list[tuple[Key, ...]] = []
        values: list[Value] = []
        for family, column, numbers in blocks:
            families.append(family)
            keys.append(column)
            values += numbers
        same = self._shape == (families, keys)
        _check(len(values), self._samples if same else sum(map(len, keys)))
        body = Body()
        tick = body.tick
        tick.unix_ms, tick.boot_ms = unix_ms, boot_ms
        tick.keyframe = keyframe = keyframe or self._age % KEYFRAME_EVERY == 0
        self._age = 1 if keyframe else self._age + 1
        if not same:
            self._reshape(blocks, values, body)
            self._shape = families, keys
        elif keyframe:
            self._write_order(tick)
        row = self._in_slots(values)
        if keyframe:
            self._forget(row)
        self._write(tick, row)
        return body

    def _forget(self, row: Sequence[Value]) -> None:
        """For a keyframe: no slot has an integer, and each the scale that its schema says, or one that is told."""
        self._integers = [0] * len(self._slots)
        self._fresh = set(self._order)
        for slot in self._odd:
            if self._scales[slot] == BITS != scale_of(row[slot]):  # a short decimal number again
                self._scales[slot], self._sorted = scale_of(row[slot]), False
        both = zip(self._slots, self._scales, self._first_scales, strict=True)
        self._rescaled = {slot for slot, scale, first in both if scale != first}

    def _describe(self, placed: list[int], values: Sequence[Value], slots: int, families: int) -> Schema:
        """The slots from there on, with a scale by their first values; adds them to the state."""
        new = range(slots, len(self._table.slots))
        first = dict(zip(reversed(placed), reversed(values), strict=True)) if new else {}
        scales = [scale_of(first[slot]) for slot in new]
        self._slots += new
        self._integers += [0] * len(new)
        self._moves += bytes(len(new))
        self._first_scales += scales
        self._scales += scales
        self._sorted = False
        return self._table.describe(slots, families, scales)

    def _reshape(self, blocks: Sequence[Block], values: list[Value], body: Body) -> None:
        """Other series than before, or in another order."""
        slots, families = len(self._slots), self._table.families
        placed = self._table.place(blocks)
        if len(self._table.slots) > slots:
            body.more.CopyFrom(self._describe(placed, values, slots, families))
        order, before = list(dict.fromkeys(placed)), self._order
        if order != before or body.tick.keyframe or len(self._slots) > slots:
            self._order = order
            self._write_order(body.tick)
        at = dict(zip(reversed(placed), range(len(placed) - 1, -1, -1), strict=True))
        places = [at.get(slot, len(placed)) for slot in self._slots]
        self._gather = None if places == list(range(len(placed))) else _gatherer(places)
        self._samples = len(placed)
        self._fresh |= at.keys() - set(before)
        for slot in set(before) - at.keys():
            self._integers[slot] = 0
        self._sorted = False

    def _write_order(self, tick: Tick) -> None:
        if not tick.keyframe or self._order != self._slots:
            tick.order.step.extend(_steps(self._order))

    def _in_slots(self, values: list[Value]) -> Sequence[Value]:
        if self._gather is None:
            return values
        values.append(0)  # what the slots that have ended take
        return self._gather(values)

    def _write(self, tick: Tick, row: Sequence[Value]) -> None:
        numbers = self._numbers(row)
        moves = bytearray(map(ne, numbers, self._integers))
        for slot in self._fresh:
            moves[slot] = 1
        try:
            array("q", compress(numbers, moves))
            tick.delta.extend(list(map(sub, compress(numbers, moves), compress(self._integers, moves))))
        except (OverflowError, ValueError):
            tick.ClearField("delta")
            self._narrow(row, numbers, moves)
            tick.delta.extend(list(map(sub, compress(numbers, moves), compress(self._integers, moves))))
        if tick.keyframe:
            self._moves = bytes(len(moves))
        else:
            turned = int.from_bytes(moves, "little") ^ int.from_bytes(self._moves, "little")
            tick.turn_step.extend(_steps(list(compress(self._slots, turned.to_bytes(len(moves), "little")))))
            self._moves = bytes(moves)
        if self._rescaled:
            rescaled = sorted(self._rescaled)
            tick.scale_step.extend(_steps(rescaled))
            tick.scale.extend([self._scales[slot] for slot in rescaled])
            self._rescaled.clear()
        self._fresh.clear()
        self._integers = numbers

    def _numbers(self, row: Sequence[Value]) -> list[int]:
        """The integer of every slot; 0 of one that has no value."""
        if not self._sorted:
            self._sort()
        numbers: list[Any] = list(row)
        for slot in self._odd:
            numbers[slot] = 0
        self._scale_decimals(numbers, self._take(row))
        if not _whole(numbers):
            for slot, value in enumerate(numbers):
                if type(value) is not int:
                    numbers[slot] = self._exact(slot, value)
        for slot in self._odd:
            numbers[slot] = self._exact(slot, row[slot])
        return numbers

    def _scale_decimals(self, numbers: list[Any], values: tuple[Any, ...]) -> None:
        slots, factors = self._decimal, self._factors
        wrong: Iterable[bool] = repeat(True)
        try:
            scaled = list(map(floor, map(add, map(mul, values, factors), repeat(0.5))))
            if set(map(type, values)) <= {float} and _NEGATIVE_ZERO not in dumps(values, 2):
                wrong = map(ne, map(truediv, scaled, factors), values)
                for slot, number in zip(slots, scaled):  # noqa: B905  # they are as long as each other
                    numbers[slot] = number
        except (OverflowError, ValueError):  # infinity, NaN
            pass
        for slot, value in compress(zip(slots, values, strict=True), wrong):
            numbers[slot] = self._exact(slot, value)

    def _sort(self) -> None:
        """Which slots are doubles, now."""
        scales = self._scales
        doubles = [slot for slot in self._order if scales[slot] != INTEGER]
        self._decimal = [slot for slot in doubles if scales[slot] >= 0]
        self._odd = [slot for slot in doubles if scales[slot] < 0]
        self._factors = [10.0 ** scales[slot] for slot in self._decimal]
        self._take = _gatherer(self._decimal)
        self._sorted = True

    def _exact(self, slot: int, value: Value) -> int:
        """Its integer; at another scale, if it has none at this one."""
        scale = self._scales[slot]
        number = integer_of(value, scale)
        if number is None:
            fitting = scale_of(value)
            finer = max(fitting, scale) if fitting >= 0 else fitting
            number = integer_of(value, finer)
            self._rescale(slot, BITS if number is None else finer)
            number = integer_of(value, self._scales[slot])
            assert number is not None
        return number

    def _rescale(self, slot: int, scale: int) -> None:
        self._scales[slot] = scale
        self._integers[slot] = 0
        self._rescaled.add(slot)
        self._fresh.add(slot)
        self._sorted = False

    def _narrow(self, row: Sequence[Value], numbers: list[int], moves: bytearray) -> None:
        """A number or a difference of more than 64 bits: that slot begins again, at a scale at which it fits."""
        for slot in compress(self._slots, bytes(moves)):
            if not -INT64 <= numbers[slot] < INT64:
                numbers[slot] = self._exact(slot, row[slot])
            if not -INT64 <= numbers[slot] - self._integers[slot] < INT64:
                self._rescale(slot, self._scales[slot])


def _check(values: int, keys: int) -> None:
    """Before anything has changed: a collector's defect costs this tick, and not those after it."""
    if values != keys:
        raise ValueError(f"{values} values for {keys} keys")


def _whole(row: list[Any]) -> bool:
    """Whether all are ints: the quickest way to see a double."""
    try:
        return type(sum(row)) is int
    except OverflowError:
        return False


def _steps(slots: list[int]) -> list[int]:
    return list(map(sub, slots, [-1, *slots]))


def _gatherer(places: list[int]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """Takes what is at these places: a tuple also where there is one place, or none."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda values: tuple([values[place] for place in places])
