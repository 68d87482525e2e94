"""A JSON object with one long list in it, whose elements become structs one at a time.

The tree of a whole list of 100 pods takes 1.2 MiB, and that much of the heap stays with the process; its structs take
0.3 MiB. So the outermost object is read here, member by member, and the standard library reads what is inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from agent.errors import Malformed
from agent.sources.kubelet.document import Json, refused

if TYPE_CHECKING:
    from json import JSONDecoder

T = TypeVar("T")


def parse_listing(buf: bytes, path: str, name: str, make: Callable[[Json], T]) -> tuple[Json, tuple[T, ...]]:
    """The object without its list ``name``, and what ``make`` made of that. Any bytes give this or Malformed."""
    import json  # only with a kubelet

    try:
        reader = _Reader(buf.decode(), json.JSONDecoder(parse_constant=refused))
        rest: Json = {}
        made: tuple[T, ...] = ()
        for key in reader.members():
            if key == name and reader.at("["):
                made = tuple(make(_object(element, name)) for element in reader.elements())
            else:
                rest[key] = reader.value()
        reader.finish()
    except (ValueError, RecursionError) as error:
        raise Malformed(path, f"not JSON: {error}") from None
    if rest.pop(name, None) is not None:
        raise Malformed(name, "a list of objects expected")
    return rest, made


def _object(element: Any, name: str) -> Json:
    if not isinstance(element, dict):
        raise Malformed(name, "a list of objects expected", repr(element))
    return element


class _Reader:
    """A place in a text of JSON. Raises ValueError."""

    def __init__(self, text: str, decoder: JSONDecoder) -> None:
        self._text = text
        self._decoder = decoder
        self._place = 0

    def at(self, sign: str) -> bool:
        """Whether that comes next, after spaces."""
        self._skip()
        return self._text.startswith(sign, self._place)

    def value(self) -> Any:
        self._skip()
        value, self._place = self._decoder.raw_decode(self._text, self._place)
        return value

    def members(self) -> Iterator[str]:
        """The keys of an object. Whoever takes one must read its value."""
        self._expect("{")
        while not self._take("}"):
            key = self.value()
            if not isinstance(key, str):
                raise ValueError(f"a key expected at character {self._place}")
            self._expect(":")
            yield key
            if not self._next("}"):
                return

    def elements(self) -> Iterator[Any]:
        self._expect("[")
        while not self._take("]"):
            yield self.value()
            if not self._next("]"):
                return

    def finish(self) -> None:
        self._skip()
        if self._place != len(self._text):
            raise ValueError(f"more at character {self._place}")

    def _skip(self) -> None:
        while self._text[self._place : self._place + 1] in (" ", "\n", "\r", "\t"):
            self._place += 1

    def _next(self, end: str) -> bool:
        """Past a comma, after which there must be more; or past the end."""
        if self._take(end):
            return False
        self._expect(",")
        if self.at(end):
            raise ValueError(f"nothing after a comma at character {self._place}")
        return True

    def _take(self, sign: str) -> bool:
        found = self.at(sign)
        self._place += len(sign) if found else 0
        return found

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            raise ValueError(f"{sign!r} expected at character {self._place}")
