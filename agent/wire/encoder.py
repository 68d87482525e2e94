"""Batches as columnar ticks: only what changed since the tick before, in columns that protobuf packs in C.

Every value is exact. A slot has a scale: ints go as they are, floats as integers of 10^-scale where that gives the very
same double back; what does not fit goes as the double itself, or as a wide integer. The loop in Python runs over
changed slots only; what is done for every sample (gather, compare, compare types) is done by functions in C.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, MutableSequence, Sequence
from itertools import chain, compress
from marshal import dumps
from math import isfinite
from operator import itemgetter, ne, sub
from typing import Final, NamedTuple, TypeVar

from agent.model import Block, Family, Key, Value
from agent.wire.ingest_pb2 import Body, Schema, Tick
from agent.wire.schema import INTEGER, Table

KEYFRAME_EVERY: Final = 12
DECIMALS_MAX: Final = 15  # a double with more digits after the point seldom has fewer than 17 in all
NARROW: Final = 1 << 62  # so that the difference between any two fits 64 bits
SUSPECT: Final = 1 << 53  # no smaller difference takes a number, in the 12 ticks from a keyframe on, beyond 64 bits
WIDEST: Final = 1 << 1030  # more than any double
REAL: Final = 0.0  # the factor of a slot whose doubles go as they are, until the next keyframe
_NEGATIVE_ZERO: Final = b"g" + struct.pack("<d", -0.0)  # as marshal writes it
_double: Final = struct.Struct("<d")
_Row = Sequence[Value | None]
T = TypeVar("T")


class Encoder:
    """One file of the samples lane at a time. Not shared between threads."""

    def __init__(self) -> None:
        self.begin(())

    @property
    def slots(self) -> int:
        """How many this file has named: those that ended are among them, so a file may have to end for it."""
        return len(self._table.slots)

    def begin(self, blocks: Sequence[Block]) -> Schema:
        """A new file, whose header names the slots of these blocks. What came before is forgotten."""
        values = list(chain.from_iterable(block.values for block in blocks))
        _check(len(values), sum(len(block.keys) for block in blocks))
        self._table = Table()
        self._age = 0
        self._shape: tuple[tuple[Family, ...], tuple[tuple[Key, ...], ...]] | None = None
        self._samples = 0
        self._gather: Callable[[Sequence[Value | None]], _Row] | None = None
        self._order: list[int] = []
        self._scales: list[int] = []
        self._forget()
        return self._describe(self._table.place(blocks), values, 0, 0)

    def tick(self, blocks: Sequence[Block], unix_ms: int, boot_ms: int, keyframe: bool = False) -> Body:
        """What these blocks say that the tick before in this file did not. ``keyframe`` repeats everything."""
        families, keys, columns = zip(*blocks, strict=True) if blocks else ((), (), ())
        values: list[Value | None] = list(chain.from_iterable(columns))
        same = self._shape is not None and families == self._shape[0] and keys == self._shape[1]
        _check(len(values), self._samples if same else sum(map(len, keys)))
        body = Body()
        tick = body.tick
        tick.unix_ms, tick.boot_ms = unix_ms, boot_ms
        tick.keyframe = keyframe = keyframe or self._age % KEYFRAME_EVERY == 0
        self._age = 1 if keyframe else self._age + 1
        if not same:
            self._reshape(blocks, values, body, keyframe)
            self._shape = families, keys
        elif keyframe:
            self._write_order(tick, self._order, keyframe)
        if keyframe:
            self._forget()
        self._write(tick, self._in_slots(values))
        return body

    def _forget(self) -> None:
        """Before a keyframe: no slot has a value. Doubles may find a scale again."""
        count = len(self._scales)
        self._row: _Row = [None] * count
        self._kinds: list[type] = [type(None)] * count
        self._integers = [0] * count
        self._factors = [_factor(scale) for scale in self._scales]
        self._signed = False

    def _describe(self, placed: list[int], values: Sequence[Value | None], slots: int, families: int) -> Schema:
        """The slots from there on, with a scale by their first values; adds them to the state."""
        first = dict(zip(reversed(placed), reversed(values), strict=True)) if len(self._table.slots) > slots else {}
        scales = [_scale(first[slot]) for slot in range(slots, len(self._table.slots))]
        self._scales += scales
        count = len(scales)
        self._row = [*self._row, *[None] * count]
        self._kinds += [type(None)] * count
        self._integers += [0] * count
        self._factors += map(_factor, scales)
        return self._table.describe(slots, families, scales)

    def _reshape(self, blocks: Sequence[Block], values: list[Value | None], body: Body, keyframe: bool) -> None:
        """Other series than before, or in another order."""
        slots, families = len(self._table.slots), self._table.families
        placed = self._table.place(blocks)
        if len(self._table.slots) > slots:
            body.more.CopyFrom(self._describe(placed, values, slots, families))
        order = list(dict.fromkeys(placed))
        if order != self._order or keyframe or len(self._table.slots) > slots:
            self._write_order(body.tick, order, keyframe)
        at = dict(zip(reversed(placed), range(len(placed) - 1, -1, -1), strict=True))
        places = [at.get(slot, len(placed)) for slot in range(len(self._table.slots))]
        self._gather = None if places == list(range(len(placed))) else _gatherer(places)
        self._samples, self._order = len(placed), order
        row = list(self._row)
        for slot, place in enumerate(places):
            if place == len(placed):
                row[slot], self._kinds[slot], self._integers[slot] = None, type(None), 0
        self._row = row

    def _write_order(self, tick: Tick, order: list[int], keyframe: bool) -> None:
        if not keyframe or order != list(range(len(self._table.slots))):
            tick.order.step.extend(slot - before for before, slot in zip([-1, *order], order, strict=False))

    def _in_slots(self, values: list[Value | None]) -> _Row:
        if self._gather is None:
            return values
        values.append(None)  # what the slots that have ended take
        return self._gather(values)

    def _moved(self, row: _Row) -> list[int]:
        """The slots whose value is another, or the same as another type or with another sign of zero."""
        kinds, old = list(map(type, row)), self._row
        signed = _NEGATIVE_ZERO in dumps(row, 2)  # type: ignore[arg-type]
        if kinds == self._kinds and not signed and not self._signed:
            return list(compress(range(len(row)), map(ne, row, old)))
        self._kinds, self._signed = kinds, signed
        return [
            slot
            for slot, (a, b) in enumerate(zip(row, old, strict=True))
            if a != b or type(a) is not type(b) or (a == 0 and repr(a) != repr(b))
        ]

    def _write(self, tick: Tick, row: _Row) -> None:
        hard = _Hard([], [], [])
        slots, numbers = self._numbered(self._moved(row), row, hard)
        integers = self._integers
        deltas = list(map(sub, numbers, map(integers.__getitem__, slots)))
        if deltas and not -SUSPECT < min(deltas) <= max(deltas) < SUSPECT:
            slots, numbers = self._narrow(slots, numbers, row, hard)
            deltas = list(map(sub, numbers, map(integers.__getitem__, slots)))
        for slot, number in zip(slots, numbers):  # noqa: B905  # the hot loop; they are as long as each other
            integers[slot] = number
        tick.int_step.extend(list(map(sub, slots, [-1, *slots])))
        tick.int_delta.extend(deltas)
        hard.write(tick)
        self._row = row

    def _numbered(self, moved: list[int], row: _Row, hard: _Hard) -> tuple[list[int], list[int]]:
        """Which of these slots have an integer at their scale, and which."""
        factors, signed = self._factors, self._signed
        slots: list[int] = []
        numbers: list[int] = []
        for slot in moved:
            value, factor, number = row[slot], factors[slot], None
            if factor is None:
                if type(value) is int:
                    number = value
            elif factor and type(value) is float:
                try:
                    number = round(value * factor)
                    if number / factor != value or (signed and not number):
                        number = None
                except (ValueError, OverflowError):  # NaN, infinity
                    pass
            if number is None:
                number = self._hard(slot, value, hard)
                if number is None:
                    continue
            slots.append(slot)
            numbers.append(number)
        return slots, numbers

    def _narrow(self, slots: list[int], numbers: list[int], row: _Row, hard: _Hard) -> tuple[list[int], list[int]]:
        """Those that fit their column; the others go as they are."""
        fits = [-NARROW < number < NARROW for number in numbers]
        for slot in compress(slots, [not fit for fit in fits]):
            self._hard(slot, row[slot], hard)
        return list(compress(slots, fits)), list(compress(numbers, fits))

    def _hard(self, slot: int, value: Value | None, hard: _Hard) -> int | None:
        """A value that is no integer at its slot's scale: the integer at another, or None when it goes as it is."""
        if isinstance(value, int):
            if self._scales[slot] != INTEGER:
                self._rescale(slot, INTEGER, hard)
            if -NARROW < value < NARROW:
                return value
            hard.wide.append((slot, _bytes_of(value)))
        elif isinstance(value, float):
            if self._factors[slot] != REAL:
                scale = max(_scale(value), self._scales[slot])
                number = _integer(value, scale)
                if number is not None:
                    if scale != self._scales[slot]:
                        self._rescale(slot, scale, hard)
                    return number
                if isfinite(value) and value:
                    self._factors[slot] = REAL
            old, bits = self._row[slot], _double.pack(value)
            if type(old) is float and _double.pack(old) == bits:
                return None  # a NaN differs from itself
            hard.real.append((slot, int.from_bytes(bits, "little")))
        self._integers[slot] = 0
        return None

    def _rescale(self, slot: int, scale: int, hard: _Hard) -> None:
        self._scales[slot], self._factors[slot] = scale, _factor(scale)
        self._integers[slot] = 0
        hard.scale.append((slot, scale))


def _check(values: int, keys: int) -> None:
    """Before anything has changed: a collector's defect costs this tick, and not those after it."""
    if values != keys:
        raise ValueError(f"{values} values for {keys} keys")


class _Hard(NamedTuple):
    """What one tick says besides integers: (slot, what) in the order of the slots."""

    real: list[tuple[int, int]]
    wide: list[tuple[int, bytes]]
    scale: list[tuple[int, int]]

    def write(self, tick: Tick) -> None:
        _columns(self.real, tick.real_step, tick.real_bits)
        _columns(self.wide, tick.wide_step, tick.wide)
        _columns(self.scale, tick.scale_step, tick.scale)


def _columns(said: list[tuple[int, T]], steps: MutableSequence[int], values: MutableSequence[T]) -> None:
    said.sort(key=itemgetter(0))
    slots = [slot for slot, _ in said]
    steps.extend(map(sub, slots, [-1, *slots]))
    values.extend([value for _, value in said])


def _gatherer(places: list[int]) -> Callable[[Sequence[Value | None]], _Row]:
    """Takes the values at these places: a tuple also where there is one place, or none."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda values: tuple([values[place] for place in places])


def _factor(scale: int) -> float | None:
    return None if scale == INTEGER else 10.0**scale


def _scale(value: Value | None) -> int:
    """How many decimals it is written with; those of a double that is no short decimal number do not count."""
    if not isinstance(value, float):
        return INTEGER
    digits, _, exponent = repr(value).partition("e")
    fraction = digits.partition(".")[2]
    scale = max(0, len(fraction if fraction != "0" else "") - int(exponent or 0))
    return scale if scale <= DECIMALS_MAX and _integer(value, scale) is not None else 0


def _integer(value: float, scale: int) -> int | None:
    """The integer that stands for exactly this double at that scale, if there is one."""
    try:
        number = round(value * 10.0**scale)
    except (ValueError, OverflowError):  # NaN, infinity
        return None
    exact = _double.pack(number / 10.0**scale) == _double.pack(value)
    return number if exact and -NARROW < number < NARROW else None


def _bytes_of(value: int) -> bytes:
    """Two's complement. Beyond what a double can hold all are the same infinity to every reader."""
    bounded = max(-WIDEST, min(value, WIDEST))
    return bounded.to_bytes(bounded.bit_length() // 8 + 1, "big", signed=True)
