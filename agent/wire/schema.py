"""Which slot is which series: numbered on both ends from the same Schema messages, and never renumbered in a file.

A slot is one (family, key) of ``agent.model``. What the other end is told ends up in an exposition, so names are
checked as Prometheus would, and no series may be there twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, islice
from operator import sub
from sys import intern
from typing import Final, NamedTuple

from agent.errors import ProtocolError
from agent.model import Block, Family, Key, Type
from agent.wire import ingest_pb2 as pb
from agent.wire.ingest_pb2 import Schema
from agent.wire.limits import LIMITS, Limits
from agent.wire.scales import byte_of

TYPES: Final[tuple[Type, ...]] = ("counter", "gauge", "untyped", "histogram", "summary")
FLAT: Final = ("histogram", "summary")
SUFFIXES: Final = frozenset(("", "_bucket", "_sum", "_count"))
_METRIC: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)


class Slot(NamedTuple):
    """One series; ``family`` is its number in the file."""

    family: int
    key: Key


class Table:
    """The agent's end: the numbers of families and slots in one file, given out as they come."""

    def __init__(self) -> None:
        self.slots: list[Slot] = []
        self._numbers: dict[Slot, int] = {}
        self._families: dict[tuple[str, Type, str, tuple[str, ...]], int] = {}
        self._known: dict[Family, tuple[tuple[Key, ...], list[int]]] = {}

    def place(self, blocks: Sequence[Block]) -> list[int]:
        """The slot of every sample in turn; those that are new get the next numbers."""
        known, self._known = self._known, {}
        for family, keys, _ in blocks:
            before = known.get(family)
            same = before is not None and before[0] is keys
            self._known[family] = before if before and same else (keys, self._numbered(family, keys))
        return list(chain.from_iterable([self._known[family][1] for family, _, _ in blocks]))

    def _numbered(self, family: Family, keys: tuple[Key, ...]) -> list[int]:
        identity = (family.name, family.type, family.help, family.labels)
        number = self._families.setdefault(identity, len(self._families))
        found = []
        for key in keys:
            slot = Slot(number, key)
            index = self._numbers.setdefault(slot, len(self.slots))
            if index == len(self.slots):
                self.slots.append(slot)
            found.append(index)
        return found

    def describe(self, first_slot: int, first_family: int, scales: Sequence[int]) -> Schema:
        """The families and slots from those numbers on."""
        symbols: dict[str, int] = {}
        message = Schema(slot_scale=scales)
        for name, kind, text, labels in islice(self._families, first_family, None):
            message.families.add(name=name, help=_utf8(text[: LIMITS.help]), type=1 + TYPES.index(kind), labels=labels)
        slots = self.slots[first_slot:]
        numbers = [slot.family for slot in slots]
        message.slot_family.extend(map(sub, numbers, [0, *numbers]))
        message.keys.extend([symbols.setdefault(text, len(symbols)) for slot in slots for text in slot.key])
        message.symbols.extend(map(_utf8, symbols))
        return message

    @property
    def families(self) -> int:
        return len(self._families)


def _utf8(text: str) -> str:
    """What a file name that is not UTF-8 became has no place in an exposition."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


class Named(NamedTuple):
    """What the other end knows after some Schema messages. Immutable: a refused message leaves it as it was.

    ``numbers`` and ``keys`` are of the slots: which of the families each is of, and its labels.
    """

    families: tuple[Family, ...] = ()
    numbers: tuple[int, ...] = ()
    keys: tuple[Key, ...] = ()
    scales: bytes = b""  # as ``byte_of``
    text: int = 0

    def extended(self, schema: Schema, limits: Limits) -> Named:
        """Raises ProtocolError."""
        if len(self.families) + len(schema.families) > limits.families:
            raise ProtocolError(f"{len(schema.families)} more families")
        if len(self.keys) + len(schema.slot_family) > limits.slots:
            raise ProtocolError(f"{len(schema.slot_family)} more series")
        if len(schema.slot_scale) != len(schema.slot_family):
            raise ProtocolError("scales that are not one for each slot")
        families = self.families + tuple([_family(one, limits) for one in schema.families])
        numbers = tuple(accumulate(schema.slot_family))
        if numbers and not 0 <= min(numbers) <= max(numbers) < len(families):
            raise ProtocolError("a family that is not there")
        scales = self.scales + bytes(map(byte_of, schema.slot_scale))
        new = tuple(_keys(schema, [families[number] for number in numbers]))
        text = self.text + sum(sum(map(len, key)) for key in new)
        if text > limits.text:
            raise ProtocolError(f"labels of {text} characters")
        numbers, keys = self.numbers + numbers, self.keys + new
        if len(set(zip(numbers, keys, strict=True))) < len(keys):
            raise ProtocolError("a series that is there twice")
        return Named(families, numbers, keys, scales, text)


def _family(said: pb.Family, limits: Limits) -> Family:
    if not 1 <= said.type <= len(TYPES) or len(said.help) > limits.help:
        raise ProtocolError("a family of no type, or with a HELP text that is too long")
    labels, kind = tuple(map(intern, said.labels)), TYPES[said.type - 1]
    if not _METRIC.fullmatch(said.name) or not all(map(_LABEL.fullmatch, labels)):
        raise ProtocolError(f"a name that is none: {said.name[:80]!r} {labels!r:.80}")
    every = (*labels, "le", "quantile") if kind in FLAT else labels
    if len(set(every)) < len(every):
        raise ProtocolError(f"a label that is there twice: {said.name[:80]}")
    return Family(intern(said.name), kind, intern(said.help), labels)


def _keys(schema: Schema, families: list[Family]) -> Iterator[Key]:
    """``families`` are of the slots. A text is one object, for all slots and for all nodes."""
    symbols, keys = list(map(intern, schema.symbols)), iter(schema.keys)
    arities = [len(family.labels) + 2 * (family.type in FLAT) for family in families]
    if sum(arities) != len(schema.keys):
        raise ProtocolError("keys that are more or fewer than the slots' labels")
    try:
        for family, arity in zip(families, arities, strict=True):
            key = tuple([symbols[index] for index in islice(keys, arity)])
            if family.type in FLAT and key[0] not in SUFFIXES:
                raise ProtocolError(f"a suffix that is none: {key[0][:80]!r}")
            yield key
    except IndexError:
        raise ProtocolError("a symbol that is not there") from None
