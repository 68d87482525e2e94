"""``headroom spool ls`` and ``headroom spool export``: what a spool holds, and how to take it out."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Final, TextIO

from agent.config.load import Config
from agent.config.setting import Setting
from agent.errors import ConfigError, SpoolError
from agent.push import export
from agent.push.disk import Disk
from agent.push.held import Held

EXPORT: Final = (
    Setting("openmetrics", "text", "", "export: every sample with its time to this file, or - for standard output."),
    Setting("events", "text", "", "export: every event to this file, or -, a line of JSON each."),
)
ABOUT: Final = (
    "Shows what this node keeps on disk for the aggregator (ls), or takes it out: export --openmetrics FILE for"
    " promtool tsdb create-blocks-from openmetrics, export --events FILE, export DIR for the files as they are, or"
    " export - for a tar of them on standard output."
)
HEAD: Final = ("SPOOL", "LANE", "SESSION", "FILES", "RECORDS", "FIRST..LAST", "FROM", "TO", "BYTES", "STATE", "DAMAGE")
_RIGHT: Final = frozenset(("SESSION", "FILES", "RECORDS", "BYTES"))


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words before the first flag, and the flags."""
    at = next((index for index, one in enumerate(arguments) if one.startswith("-") and one != "-"), len(arguments))
    return list(arguments[:at]), list(arguments[at:])


def run(words: Sequence[str], config: Config, out: TextIO) -> int:
    """1 when something of the spool is missing or damaged. Raises ConfigError, SpoolError."""
    root: str = config["spool.dir"]
    if not root:
        raise ConfigError("--spool.dir: which spool?")
    try:
        match list(words):
            case ["ls"]:
                return _ls(root, out)
            case ["export", *rest] if len(rest) <= 1 and (rest or config["openmetrics"] or config["events"]):
                return _export(root, rest, config)
    except OSError as error:
        raise SpoolError(f"{error.filename or root}: {error.strerror or error}") from None
    raise ConfigError("expected ls, export DIR, export --openmetrics FILE or export --events FILE")


def _ls(root: str, out: TextIO) -> int:
    disk = Disk()
    sessions = export.spools(disk, root, whole=True)
    rows = [HEAD, *(_row(disk, root, one) for one in sessions)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(HEAD, row, widths, strict=True)
        line = "  ".join(text.rjust(width) if name in _RIGHT else text.ljust(width) for name, text, width in cells)
        print(line.rstrip(), file=out)
    return 1 if any(file.damaged for one in sessions for file in one.files) else 0


def _row(disk: Disk, root: str, held: Held) -> tuple[str, ...]:
    """A session. Damaged are files that cannot be read to their end."""
    span_ms = export.span_ms(disk, root, held)
    records = sum(file.readable - file.first + 1 for file in held.files)
    damaged = sum(file.damaged for file in held.files)
    return (
        held.key.spool_id.hex()[:8],
        held.key.lane,
        str(held.key.number),
        str(len(held.files)),
        str(records),
        f"{held.first}..{held.last}" if held.last >= held.first else "-",
        *(map(_time, span_ms) if span_ms else ("-", "-")),
        str(sum(file.size_bytes for file in held.files)),
        "sealed" if held.sealed else "live",
        f"{damaged} file{'s' if damaged > 1 else ''}" if damaged else "-",
    )


def _time(unix_ms: int) -> str:
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_ms / 1000))
    except (OverflowError, ValueError, OSError):  # a clock that was anywhere
        return str(unix_ms)


def _export(root: str, target: Sequence[str], config: Config) -> int:
    disk, missing = Disk(), 0
    if target == ["-"]:
        print(f"{export.archive(disk, root, sys.stdout.buffer)} files", file=sys.stderr)
        sys.stdout.buffer.flush()
    elif target:
        print(f"{export.copy(disk, root, target[0])} files copied to {target[0]}", file=sys.stderr)
    if config["openmetrics"]:
        with _output(config["openmetrics"]) as out:
            done = export.openmetrics(disk, root, out)
        missing = done.missing + done.backwards
        print(
            f"{done.samples} samples of {done.rounds} ticks; {done.missing} records are missing,"
            f" {done.backwards} ticks left out because the clock had been there before",
            file=sys.stderr,
        )
    if config["events"]:
        with _output(config["events"]) as out:
            print(f"{export.events(disk, root, out)} events", file=sys.stderr)
    return 1 if missing else 0


@contextmanager
def _output(name: str) -> Iterator[IO[bytes]]:
    """A file appears when it is complete."""
    if name == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = f"{name}.part"
    with open(part, "wb") as out:
        yield out
    os.replace(part, name)
