"""Metrics that other programs leave in files: ``*.prom`` in the directories of ``--collector.textfile.directory``.

A file that cannot be read or parsed does not count at all, nor does a family that contradicts an earlier file about
its type or HELP; either makes ``node_textfile_scrape_error`` 1. Files are parsed again only when they change.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from agent.collectors.devices import label
from agent.errors import Malformed, SourceError, from_oserror
from agent.model import Declared, Family, FamilyRule, Key, Part, Type, Value, Writer
from agent.sources.host import Host
from agent.sources.root import Root
from agent.sources.textfile import TextFamily, TextSeries, parse_textfile

SCRAPE_ERROR = Family(
    "node_textfile_scrape_error", "gauge", "1 if there was an error opening or reading a file, 0 otherwise"
)
MTIME = Family("node_textfile_mtime_seconds", "gauge", "Unixtime mtime of textfiles successfully read.", ("file",))
FROM_FILES = FamilyRule("{}", "untyped", "Whatever the files say.")


class _State(NamedTuple):
    """What of a file changes whenever somebody writes it."""

    mtime_ns: int
    size: int
    inode: int


class _File(NamedTuple):
    """What came of a file when it was last parsed: its families, or why there are none."""

    path: str
    state: _State
    families: list[TextFamily]
    error: SourceError | None


class Textfile:
    name: Final = "textfile"
    part: Final[Part] = "node"
    families: Final[Declared] = (SCRAPE_ERROR, MTIME, FROM_FILES)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._directories: tuple[str, ...] = tuple(options["directory"])
        self._files: list[_File] = []
        self._merged = _Merged([], {})

    def collect(self, out: Writer) -> None:
        files = self._look(out)
        if len(files) != len(self._files) or any(new is not old for new, old in zip(files, self._files, strict=True)):
            self._files = files
            self._merged = _Merged(files, self._merged.families)
        out.errors += self._merged.errors
        out.blocks += self._merged.blocks
        out.one(SCRAPE_ERROR, int(bool(out.errors)))

    def _look(self, out: Writer) -> list[_File]:
        """Every file there is now, in the order of directories and names; those that did not change as they were."""
        known = {file.path: file for file in self._files}
        files: list[_File] = []
        for directory in _expanded(self._directories):
            with out.optional:
                names = Root(directory).list(".")
                for name in names:
                    if name.endswith(".prom"):
                        with out.optional:
                            files.append(_current(directory, name, known))
        return files


def _expanded(patterns: tuple[str, ...]) -> Iterator[str]:
    """Directories as given, and those that a glob finds; a glob that finds nothing is a directory that is missing."""
    for pattern in patterns:
        if any(character in pattern for character in "*?["):
            from glob import glob  # seldom used

            yield from sorted(glob(pattern)) or (pattern,)
        else:
            yield pattern


def _current(directory: str, name: str, known: Mapping[str, _File]) -> _File:
    path = os.path.normpath(os.path.join(directory, name))
    try:
        stat = os.stat(path)
    except OSError as error:
        raise from_oserror(error, path) from None
    state = _State(stat.st_mtime_ns, stat.st_size, stat.st_ino)
    before = known.get(path)
    return before if before is not None and before.state == state else _parsed(directory, name, path, state)


def _parsed(directory: str, name: str, path: str, state: _State) -> _File:
    try:
        return _File(path, state, parse_textfile(Root(directory).read_once(name), path), None)
    except SourceError as error:
        return _File(path, state, [], error.kept())


class _Merged:
    """Several files as one exposition: the blocks, and what contradicts itself. Made once per change of any file."""

    def __init__(self, files: list[_File], families_before: Mapping[Any, Family]) -> None:
        self.errors: list[SourceError] = [file.error for file in files if file.error]
        self.families: dict[tuple[str, Type, str, tuple[str, ...]], Family] = {}
        read = [file for file in files if not file.error]
        out = Writer()
        for name, parts in sorted(self._by_name(read).items()):
            self._write(name, parts, families_before, out)
        mtimes = {(label(file.path),): file.state.mtime_ns // 10**9 for file in read}
        out.many(MTIME, tuple(mtimes), list(mtimes.values()))
        self.blocks = out.blocks

    def _by_name(self, files: list[_File]) -> dict[str, list[tuple[str, TextFamily]]]:
        """(path, family) of each name, without those that contradict the first."""
        found: dict[str, list[tuple[str, TextFamily]]] = {}
        helps: dict[str, str] = {}
        for file in files:
            for family in file.families:
                parts = found.setdefault(family.name, [])
                if family.name in (SCRAPE_ERROR.name, MTIME.name):
                    self.errors.append(Malformed(file.path, f"{family.name} is a name of ours"))
                elif parts and parts[0][1].type != family.type:
                    self.errors.append(Malformed(file.path, f"another type of {family.name} than in {parts[0][0]}"))
                elif family.help is not None and helps.setdefault(family.name, family.help) != family.help:
                    self.errors.append(Malformed(file.path, f"another HELP of {family.name} than in an earlier file"))
                else:
                    parts.append((file.path, family))
        return {name: parts for name, parts in found.items() if parts}

    def _write(
        self, name: str, parts: list[tuple[str, TextFamily]], families_before: Mapping[Any, Family], out: Writer
    ) -> None:
        help = next((family.help for _, family in parts if family.help is not None), None)
        if help is None:
            help = f"Metric read from {', '.join(label(path) for path, _ in parts)}"
        labels = tuple(sorted({label for _, family in parts for series in family.series for label in series.labels}))
        what = (name, parts[0][1].type, help, labels)
        family = families_before.get(what) or Family(*what, FROM_FILES)
        self.families[what] = family
        samples: dict[Key, Value] = {}
        for path, part in parts:
            for series in part.series:
                if not _add(series, family, samples):
                    self.errors.append(Malformed(path, f"a second sample of the same series of {name}"))
        out.many(family, tuple(samples), list(samples.values()))


def _add(series: TextSeries, family: Family, samples: dict[Key, Value]) -> bool:
    """One label set, with the labels it lacks empty. False, and nothing added, when it is there already."""
    labels = tuple(series.labels.get(label, "") for label in family.labels)
    flat = family.type in ("histogram", "summary")
    keys = [(suffix, bound, *labels) if flat else labels for suffix, bound, _ in series.slots]
    if any(key in samples for key in keys):
        return False
    samples.update(zip(keys, (value for _, _, value in series.slots), strict=True))
    return True
