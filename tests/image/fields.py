"""Reading an object of Kubernetes so that nothing in it is overlooked: a field that nobody took is an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Self, TypeVar

T = TypeVar("T")
_MISSING: Final = object()
_UNITS: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


class SpecError(Exception):
    """What in a pod's specification cannot be carried out here, and where it stands."""


class Fields:
    """A mapping that is used up: ``with`` refuses what is left of it at the end. ``where`` is its path."""

    def __init__(self, mapping: Any, where: str) -> None:
        if not isinstance(mapping, Mapping):
            raise SpecError(f"{where}: an object expected, not {mapping!r}")
        self._left = dict(mapping)
        self.where = where

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._left:
            raise SpecError(f"{self.where}.{next(iter(self._left))}: not known here")

    def take(self, name: str, default: Any = _MISSING) -> Any:
        """A field's value; one without a default must be there."""
        if name not in self._left and default is _MISSING:
            raise SpecError(f"{self.where}.{name}: missing")
        return self._left.pop(name, default)

    def only(self, name: str, *allowed: object) -> None:
        """A field that may be absent, or have one of these values: nothing else is carried out here."""
        if name in self._left and (value := self._left.pop(name)) not in allowed:
            raise SpecError(f"{self.where}.{name}: {value!r} is not carried out here")

    def ignore(self, names: Iterable[str]) -> None:
        """Fields that others act upon, before a node has the pod."""
        for name in names:
            self._left.pop(name, None)

    def nested(self, name: str, read: Callable[[Fields], T], default: Mapping[str, Any] | None = None) -> T:
        """What ``read`` makes of an object; all of it has to be read."""
        with Fields(self.take(name, _MISSING if default is None else default), f"{self.where}.{name}") as fields:
            return read(fields)

    def each(self, name: str, read: Callable[[Fields], T]) -> tuple[T, ...]:
        """The same for a list of objects, which may be absent."""
        made = []
        for number, one in enumerate(self.take(name, ())):
            with Fields(one, f"{self.where}.{name}[{number}]") as fields:
                made.append(read(fields))
        return tuple(made)

    def present(self, *names: str) -> list[str]:
        return [name for name in names if name in self._left]


def bytes_of(quantity: Any, where: str) -> int:
    """``96Mi`` in bytes."""
    text = str(quantity)
    number = text.rstrip("kKMGi")
    try:
        return int(number) * _UNITS[text[len(number) :]]
    except (KeyError, ValueError):
        raise SpecError(f"{where}: {quantity!r} is no amount of memory") from None


def millicores_of(quantity: Any, where: str) -> int:
    """``250m`` or ``0.5`` cores, in thousandths of one."""
    text = str(quantity)
    try:
        return int(text[:-1]) if text.endswith("m") else round(float(text) * 1000)
    except ValueError:
        raise SpecError(f"{where}: {quantity!r} is no amount of CPU") from None
