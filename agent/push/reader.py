"""Reads spool files: for sending, record by record where the last left off; at a start, as much as a start needs."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Final, NamedTuple

from agent.errors import SpoolError
from agent.push.disk import Disk
from agent.push.held import File, Held, Key
from agent.push.spool_format import (
    NUMBER_MAX,
    RECORD_BYTES_MAX,
    Name,
    header_base,
    is_record,
    parse_name,
    scan,
)
from agent.wire.frame import Frame, read_frame

FILE_BYTES_MAX: Final = 16 << 20  # what is beyond was not written by us
CHUNK_BYTES: Final = 8192
OPEN_MAX: Final = 4
PASSING: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR, errno.EAGAIN)  # no fault of the file


class _Place:
    """Where in which file the next record of a session is."""

    __slots__ = ("fd", "header", "name", "offset", "seq")

    def __init__(self, fd: int, name: Name, header: Frame) -> None:
        self.fd = fd
        self.name = name
        self.header = header.body
        self.seq, self.offset = name.first, header.end


class Reader:
    """Keeps a few files open, one for each session that is being sent. Threads: one at a time."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._places: dict[Key, _Place] = {}

    def header(self, directory: str, key: Key, name: Name) -> bytes | None:
        """The serialized Header of a file, which is entered anew; None when it cannot be read."""
        self.leave(key)
        if len(self._places) >= OPEN_MAX:
            self.leave(next(iter(self._places)))
        try:
            fd = self._disk.open(os.path.join(directory, str(name)))
        except OSError as error:
            _raise_passing(error)
            return None
        header = self._frame(fd, 0)
        if header is None or header_base(header.body, key.spool_id, name) is None:
            self._disk.close(fd)
            return None
        self._places[key] = _Place(fd, name, header)
        return header.body

    def record(self, directory: str, key: Key, name: Name, seq: int) -> bytes | int:
        """The serialized Record ``seq``; where it cannot be read, the number of the first that cannot."""
        place = self._places.get(key)
        if place is None or place.name != name or place.seq > seq:
            if self.header(directory, key, name) is None:
                return name.first
            place = self._places[key]
        while True:
            found = self._frame(place.fd, place.offset)
            if found is None or not is_record(found.body, name.sid, place.seq):
                return place.seq
            place.seq, place.offset = place.seq + 1, found.end
            if place.seq > seq:
                return found.body

    def leave(self, key: Key) -> None:
        place = self._places.pop(key, None)
        if place:
            self._disk.close(place.fd)

    def close(self) -> None:
        for key in list(self._places):
            self.leave(key)

    def _frame(self, fd: int, offset: int) -> Frame | None:
        """With ``end`` counted from the start of the file."""
        try:
            buf = self._disk.read(fd, CHUNK_BYTES, offset)
            wanted = 12 + int.from_bytes(buf[4:8], "little")
            if len(buf) < wanted <= 12 + RECORD_BYTES_MAX and len(buf) == CHUNK_BYTES:
                buf += self._disk.read(fd, wanted - len(buf), offset + len(buf))
        except OSError as error:
            _raise_passing(error)
            return None
        found = read_frame(buf, 0, RECORD_BYTES_MAX)
        return found._replace(end=offset + found.end) if isinstance(found, Frame) else None


def _raise_passing(error: OSError) -> None:
    """What cannot be read is damage, unless another time may do."""
    if error.errno in PASSING:
        raise SpoolError(error.strerror) from None


class Survey(NamedTuple):
    """Sessions in the order of their age, all of them sealed. ``ignored`` files are not of any."""

    sessions: list[Held]
    ignored: int


def survey(disk: Disk, directory: str, spool_id: bytes, whole: bool = False) -> Survey:
    """What a directory holds. Raises OSError when it cannot be listed.

    Only each session's last file is read, for ``last``; the others are believed to reach up to the next until they are
    sent, unless ``whole``.
    """
    groups: dict[tuple[str, int], list[Name]] = {}
    ignored = 0
    for name in filter(None, map(parse_name, disk.names(directory))):
        group = groups.setdefault((name.lane, name.number), [])
        if group and group[0].sid != name.sid:
            ignored += 1  # two spools were copied into one
        else:
            group.append(name)
    sessions: list[Held] = []
    base = {"samples": 0, "events": 0}
    for (lane, _), names in sorted(groups.items(), key=lambda item: item[0]):
        names.sort(key=lambda name: name.first)
        held = _session(disk, directory, spool_id, names, base[lane], whole)
        base[lane] = min(held.base + held.last, NUMBER_MAX)
        if sessions and sessions[-1].key == held.key._replace(number=held.key.number - 1):
            sessions[-1] = _as_long_as_it_was(sessions[-1], held.base - sessions[-1].base)
        sessions.append(held)
    return Survey(sessions, ignored)


def _as_long_as_it_was(held: Held, last: int) -> Held:
    """``last`` by the base of the session after it: what its files lost at their end since is to be declared."""
    if last <= held.last:
        return held
    return held._replace(last=last, files=(*held.files[:-1], held.files[-1]._replace(damaged=True)))


def _session(disk: Disk, directory: str, spool_id: bytes, names: list[Name], base: int, whole: bool) -> Held:
    """``base`` is what it must be when no header of it can be read."""
    files: list[File] = []
    bases: list[int] = []
    last = 0
    for index, name in enumerate(names):
        following = names[index + 1].first if index + 1 < len(names) else None
        said, file, last = _file(disk, directory, spool_id, name, following, whole)
        bases += [] if said is None else [said]
        files.append(file)
    if not bases:
        bases = list(_bases(disk, directory, spool_id, names))
    key = Key(spool_id, names[0].lane, names[0].number)
    return Held(key, names[0].sid, bases[0] if bases else base, last, True, tuple(files))


def _file(
    disk: Disk, directory: str, spool_id: bytes, name: Name, following: int | None, whole: bool
) -> tuple[int | None, File, int]:
    """Its base, if that was read; itself; and the last record of which it has any sign. ``following`` is the first
    record of the next file; a record is in one of them only."""
    path = os.path.join(directory, str(name))
    size, buf = 0, b"?"  # a file that cannot be read is damage
    try:
        size, _ = disk.size_and_age_s(path)
        if following is not None and not whole and size:
            return None, File(name.first, following - 1, size), following - 1
        with disk.opened(path) as fd:
            buf = disk.read(fd, FILE_BYTES_MAX, 0)
    except OSError:
        pass
    found = scan(buf, spool_id, name)
    readable = found.readable if following is None else min(found.readable, following - 1)
    damaged = found.damaged or size > FILE_BYTES_MAX
    return found.base, File(name.first, readable, size, damaged), max(found.last, readable + damaged)


def _bases(disk: Disk, directory: str, spool_id: bytes, names: list[Name]) -> Iterator[int]:
    """What the headers of these files say, where they can be read."""
    for name in names:
        try:
            with disk.opened(os.path.join(directory, str(name))) as fd:
                header = read_frame(disk.read(fd, CHUNK_BYTES, 0), 0, RECORD_BYTES_MAX)
        except OSError:
            continue
        base = header_base(header.body, spool_id, name) if isinstance(header, Frame) else None
        if base is not None:
            yield base
