"""Log lines to stderr: logfmt or JSON, UTC, one write per line.

Written by hand because ``logging`` costs 2 MiB of memory in a process whose budget is 20. Below ``app`` and
the sinks nothing logs: errors are raised, and whoever isolates them decides what is said.
Threads: every function may be called from any thread; a line is one write(2), so lines never mix.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Final

FIELD_CHARS_MAX: Final = 500
LEVELS: Final[dict[str, int]] = {"debug": 10, "info": 20, "warn": 30, "error": 40}


class _Output:
    __slots__ = ("as_json", "threshold")

    def __init__(self) -> None:
        self.threshold = LEVELS["info"]
        self.as_json = False


_output = _Output()


def configure(level: str, format: str) -> None:
    """Called once at start. ``level`` is a key of LEVELS, ``format`` is logfmt or json."""
    _output.threshold = LEVELS[level]
    _output.as_json = format == "json"


def debug(message: str, **fields: object) -> None:
    _write("debug", message, fields)


def info(message: str, **fields: object) -> None:
    _write("info", message, fields)


def warn(message: str, **fields: object) -> None:
    _write("warn", message, fields)


def error(message: str, **fields: object) -> None:
    _write("error", message, fields)


def _write(level: str, message: str, fields: dict[str, object]) -> None:
    if LEVELS[level] < _output.threshold:
        return
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
    record: dict[str, object] = {"time": stamp, "level": level, "msg": message}
    record |= {
        key: value if isinstance(value, (int, float, bool)) else _cut(str(value)) for key, value in fields.items()
    }
    line = _json(record) if _output.as_json else _logfmt(record)
    try:
        os.write(sys.stderr.fileno(), line.encode("utf-8", "backslashreplace"))
    except (OSError, ValueError):
        pass  # stderr is closed or full: there is nowhere left to say so


def _cut(text: str) -> str:
    """The text of an error may hold all that it is about, such as an exposition that cannot be encoded."""
    return text if len(text) <= FIELD_CHARS_MAX else f"{text[:FIELD_CHARS_MAX]}... ({len(text)} characters)"


def _json(record: dict[str, object]) -> str:
    import json  # only with --log.format json

    return json.dumps(record) + "\n"


def _logfmt(record: dict[str, object]) -> str:
    return " ".join(f"{key}={_quoted(str(value))}" for key, value in record.items()) + "\n"


def _quoted(text: str) -> str:
    if text and text.isprintable() and not any(c in ' "=' for c in text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'
