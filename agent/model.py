"""The vocabulary of a measurement: Family, Block, Batch, Writer.

A **Family** is one metric name with its type, HELP and label names. A **Block** is the samples of one family
in two parallel columns: keys (label values) and values. A **Batch** is everything that one collection saw: an
immutable tuple of blocks with one time. Sinks share batches, so nothing in one may change after it is made.

Histograms and summaries are flat: each sample is a *slot*, whose key is ``(suffix, bound, *label values)`` with
suffix ``_bucket``, ``_sum``, ``_count`` or ``""`` and bound the ``le`` or ``quantile`` (empty where there is none).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Literal, NamedTuple, Protocol

from agent.errors import SourceError

Type = Literal["counter", "gauge", "untyped", "histogram", "summary"]
Part = Literal["node", "cadvisor", "headroom"]
Key = tuple[str, ...]
Value = int | float

PARTS: Final[tuple[Part, ...]] = ("node", "cadvisor", "headroom")
_PART_BY_PREFIX: Final[dict[str, Part]] = {
    "headroom": "headroom",
    "container": "cadvisor",
    "machine": "cadvisor",
    "kubelet": "headroom",  # what the kubelet's own page has, where profile=beside still wants it
    "kube": "headroom",
}


class Family:
    """One metric name. Compared by identity: declare it once, as a module or class constant."""

    __slots__ = ("help", "labels", "name", "part", "rule", "type")

    def __init__(
        self, name: str, type: Type, help: str, labels: tuple[str, ...] = (), rule: FamilyRule | None = None
    ) -> None:
        self.name = name
        self.type = type
        self.help = help
        self.labels = labels
        self.rule = rule
        self.part: Part = _PART_BY_PREFIX.get(name.partition("_")[0], "node")

    def __repr__(self) -> str:
        return f"Family({self.name})"


class FamilyRule:
    """Families whose names the kernel chooses: ``node_memory_<field>_bytes``. ``{}`` stands for the field.

    Calling the rule with a field gives its family, always the same object for the same field.
    """

    __slots__ = ("_made", "help", "labels", "name", "type")

    def __init__(self, name: str, type: Type, help: str, labels: tuple[str, ...] = ()) -> None:
        self.name = name
        self.type: Type = type
        self.help = help
        self.labels = labels
        self._made: dict[str, Family] = {}

    def __call__(self, field: str) -> Family:
        family = self._made.get(field)
        if family is None:
            name, text = self.name.replace("{}", field), self.help.replace("{}", field)
            family = self._made[field] = Family(name, self.type, text, self.labels, self)
        return family


Declared = tuple[Family | FamilyRule, ...]


class Block(NamedTuple):
    """The samples of one family: ``values[i]`` belongs to the label values ``keys[i]``."""

    family: Family
    keys: tuple[Key, ...]
    values: Sequence[Value]


class Batch:
    """One collection, complete: what every sink serves. Times are wall clock and monotonic seconds."""

    __slots__ = ("blocks", "monotonic_s", "succeeded", "time_s")

    def __init__(self, blocks: tuple[Block, ...], time_s: float, monotonic_s: float, succeeded: frozenset[str]) -> None:
        self.blocks = blocks
        self.time_s = time_s
        self.monotonic_s = monotonic_s
        self.succeeded = succeeded

    def part(self, part: Part) -> Iterator[Block]:
        """The blocks that one of the agent's metric paths serves."""
        return (block for block in self.blocks if block.family.part == part)


NO_LABELS: Final[tuple[Key, ...]] = ((),)
_tuple = tuple.__new__  # what Block(...) comes down to, at half the price; a scrape makes some 300


class Guard:
    """``with out.optional:`` a source error inside costs what is inside, is counted, and the rest goes on."""

    __slots__ = ("_report",)

    def __init__(self, report: Callable[[SourceError], None]) -> None:
        self._report = report

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, SourceError):
            return False
        self._report(error.kept())
        return True


class Writer:
    """What a collector writes to. One per collector and collection; not shared between threads."""

    __slots__ = ("blocks", "errors", "optional")

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.errors: list[SourceError] = []
        self.optional = Guard(self.errors.append)

    def one(self, family: Family, value: Value) -> None:
        """The single sample of a family without labels."""
        self.blocks.append(_tuple(Block, (family, NO_LABELS, (value,))))

    def many(self, family: Family, keys: tuple[Key, ...], values: Sequence[Value]) -> None:
        """Parallel label values and values. The same keys object again makes rendering several times cheaper."""
        if keys:
            self.blocks.append(_tuple(Block, (family, keys, values)))

    def again(self, blocks: Sequence[Block]) -> None:
        """The blocks of an earlier collection, when everything was read and nothing has changed."""
        self.blocks += blocks

    def info(self, family: Family, *keys: Key) -> None:
        """A gauge of constant 1 whose labels are the information."""
        self.many(family, keys, (1,) * len(keys))

    def histograms(
        self, family: Family, bounds: Sequence[float], series: Iterable[tuple[Key, Sequence[int], float]]
    ) -> None:
        """Histograms as (label values, counts, sum): ``counts[i]`` fell in bucket i alone; the last is +Inf."""
        keys: list[Key] = []
        values: list[Value] = []
        names = (*(repr(float(bound)) for bound in bounds), "+Inf")
        for labels, counts, total in series:
            seen = 0
            for name, count in zip(names, counts, strict=True):
                seen += count
                keys.append(("_bucket", name, *labels))
                values.append(seen)
            keys += [("_sum", "", *labels), ("_count", "", *labels)]
            values += [total, seen]
        self.many(family, tuple(keys), values)


class Collector(Protocol):
    """Turns structs into blocks. Raises SourceError when it has nothing; ``with out.optional:`` for a part of it."""

    @property
    def name(self) -> str: ...
    @property
    def part(self) -> Part: ...
    @property
    def families(self) -> Declared:
        """Everything it can ever emit; the documentation and the contract tests read this."""
        ...

    def collect(self, out: Writer) -> None: ...
