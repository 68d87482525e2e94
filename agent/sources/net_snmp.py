"""``/proc/net/snmp``, ``netstat`` and ``snmp6``: the counters of the protocols.

Source: <procfs>/1/net/{snmp,netstat,snmp6}, proc_net(5), RFC 2011 to 2013 and 4293. Since: 2.2; fields come and go.
Units: packets, bytes, events, as the field's name says; some fields are gauges or settings.
Errors: Malformed. Cost: snmp 20 us, netstat 50 us, snmp6 25 us, nearly all of it the kernel's.

The files hold some 400 numbers, of which a few dozen are wanted, in columns that change hardly ever. So a table
remembers where the wanted columns are, and looks again when the titles are not the same bytes as the last time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from agent.errors import Malformed
from agent.sources.root import Root

Name = tuple[str, str]  # protocol, field
Wanted = Callable[[Name], bool]


class Reading(NamedTuple):
    """``values[i]`` is that of ``names[i]``, which is the same object while the columns are the same."""

    names: tuple[Name, ...]
    values: list[int]


class _Columns(NamedTuple):
    """Where the wanted values of one protocol are among the ``words`` of its line."""

    title: bytes
    words: int
    positions: tuple[int, ...]


class SnmpTable:
    """One file of line pairs: titles, values. Threads: one at a time."""

    __slots__ = ("_columns", "_names", "_titles", "_wanted")

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._titles: list[bytes] = []
        self._columns: list[_Columns] = []
        self._names: tuple[Name, ...] = ()

    def parse(self, buf: bytes) -> Reading:
        """Shape: ``Tcp: RtoMin RtoMax ...`` and below it ``Tcp: 200 120000 ...``, per protocol."""
        *lines, rest = buf.split(b"\n")
        if rest or not lines or len(lines) % 2:
            raise Malformed("net/snmp", "pairs of whole lines expected", rest)
        titles = lines[::2]
        if titles != self._titles:
            self._learn(titles)
        values: list[int] = []
        for line, columns in zip(lines[1::2], self._columns, strict=True):
            if columns.positions:
                values += _picked(line, columns)
        return Reading(self._names, values)

    def read(self, procfs: Root, path: str) -> Reading:
        return self.parse(procfs.read(path))

    def _learn(self, titles: list[bytes]) -> None:
        columns, names = [], []
        for line in titles:
            title, *fields = line.split(b" ")
            found = [
                (position, name)
                for position, field in enumerate(fields, start=1)
                if self._wanted(name := _name(title.removesuffix(b":"), field))
            ]
            columns.append(_Columns(title, len(fields) + 1, tuple(position for position, _ in found)))
            names += [name for _, name in found]
        self._titles, self._columns, self._names = titles, columns, tuple(names)


def _picked(line: bytes, columns: _Columns) -> list[int]:
    if line.count(b" ") + 1 != columns.words:
        raise Malformed("net/snmp", f"{columns.words} words expected", line)
    words = line.split(b" ", columns.positions[-1] + 1)
    if words[0] != columns.title:
        raise Malformed("net/snmp", f"values of {columns.title!r} expected", line)
    try:
        return [int(words[position]) for position in columns.positions]
    except ValueError:
        raise Malformed("net/snmp", "numbers expected", line) from None


class Snmp6Table:
    """One file of names and values. Threads: one at a time."""

    __slots__ = ("_names", "_positions", "_titles", "_wanted")

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._titles: list[bytes] = []
        self._positions: tuple[int, ...] = ()
        self._names: tuple[Name, ...] = ()

    def parse(self, buf: bytes) -> Reading:
        """Shape: ``Ip6InReceives    <tab>1`` per line; the protocol ends with the 6."""
        words = buf.split()
        titles = words[::2]
        if not words or len(words) % 2 or len(titles) != buf.count(b"\n"):
            raise Malformed("net/snmp6", "lines of a name and a number expected", buf)
        if titles != self._titles:
            self._learn(titles)
        try:
            return Reading(self._names, [int(words[position]) for position in self._positions])
        except ValueError:
            raise Malformed("net/snmp6", "numbers expected", buf) from None

    def read(self, procfs: Root, path: str) -> Reading:
        return self.parse(procfs.read(path))

    def _learn(self, titles: list[bytes]) -> None:
        found = []
        for line, title in enumerate(titles):
            protocol, six, field = title.partition(b"6")
            if six and self._wanted(name := _name(protocol + six, field)):
                found.append((2 * line + 1, name))
        self._titles = titles
        self._positions = tuple(position for position, _ in found)
        self._names = tuple(name for _, name in found)


def _name(protocol: bytes, field: bytes) -> Name:
    """These become parts of metric names, so anything but letters, digits and ``_`` is refused."""
    try:
        name = protocol.decode("ascii"), field.decode("ascii")
    except UnicodeDecodeError:
        raise Malformed("net/snmp", "a field's name expected", field) from None
    if not "_".join(name).isidentifier():
        raise Malformed("net/snmp", "a field's name expected", "_".join(name))
    return name
