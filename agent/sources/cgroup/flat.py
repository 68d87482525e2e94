"""The two shapes that most cgroup files have: one number, and *flat keyed* lines of ``name number``.

A reader wants few of a file's many keys, and a kernel always writes them at the same places. So the places are
remembered, and checked at every read: 5 us for 7 of the 46 keys of memory.stat, where a dict of them takes 10.
"""

from __future__ import annotations

from agent.errors import Malformed
from agent.sources.cgroup.directory import Directory

_Places = tuple[int, list[int], list[bytes], tuple[int, ...]]


class FlatKeys:
    """Some keys of one file. Call it with the bytes: their values in order, None for a key that is not there."""

    __slots__ = ("_keys", "_name", "_places")

    def __init__(self, name: str, *keys: str) -> None:
        self._name = name
        self._keys = tuple(key.encode() for key in keys)
        self._places: _Places = (-1, [], [], ())

    def __call__(self, buf: bytes) -> list[int | None]:
        words = buf.split()
        length, names, found, values = self._places
        if length != len(words) or [words[i] for i in names] != found:
            names, values = self._learn(words)
        try:
            return [int(words[i]) if i else None for i in values]
        except ValueError:
            raise Malformed(self._name, "'name number' lines expected", buf) from None

    def _learn(self, words: list[bytes]) -> tuple[list[int], tuple[int, ...]]:
        if len(words) % 2:
            raise Malformed(self._name, "'name number' lines expected", b" ".join(words[-2:]))
        at = {name: i for i, name in enumerate(words) if not i % 2}
        names = [at[key] for key in self._keys if key in at]
        values = tuple(at[key] + 1 if key in at else 0 for key in self._keys)
        # one assignment, so that a reader in another thread sees all of it or nothing
        self._places = (len(words), names, [words[i] for i in names], values)
        return names, values

    def read(self, directory: Directory) -> list[int | None]:
        return self(directory.read(self._name))


def parse_limit(buf: bytes, name: str, unlimited: int) -> int:
    """A number, or ``max``."""
    try:
        return unlimited if buf.strip() == b"max" else int(buf)
    except ValueError:
        raise Malformed(name, "a whole number or 'max' expected", buf) from None


def read_count(directory: Directory, name: str) -> int:
    """A file that holds one number."""
    data = directory.read(name)
    try:
        return int(data)
    except ValueError:
        raise Malformed(f"{directory.path}/{name}", "a whole number expected", data) from None
