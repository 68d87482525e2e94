"""``/flagz``: the kubelet's flags, their defaults filled in. What only flags say, like ``root-dir``, is in no configz.

Source: GET /flagz by ``nodes/configz``. Since: Kubernetes 1.33 (beta in 1.36). Shape: text, 4 kB, one ``name: value``
per line after a title; not meant to be parsed, and what is between name and value differs from one kubelet process to
the next (``:``, ``=``, a blank). Units: as they are written. Errors: Malformed. Cost: as configz, or less.

A flag that a configuration file overrides is not here: for what may stand in a file, ask configz.
"""

from __future__ import annotations

import re
from typing import Final

from agent.errors import Malformed

TITLE: Final = b"kubelet flagz"
LINES_MAX: Final = 2000  # 1.36 has 160
_FLAG: Final = re.compile(rb"([A-Za-z0-9][A-Za-z0-9_-]*)(?:[ \t]*[:=])?[ \t]*(.*)")


def parse_flagz(buf: bytes) -> dict[str, str]:
    """Every flag by its name; an empty one has the empty text. Raises Malformed where no flag is in it."""
    lines = [line.strip() for line in buf.splitlines() if line.strip()]
    if not lines or lines[0] != TITLE:
        raise Malformed("flagz", f"{TITLE.decode()!r} expected", lines[0] if lines else "")
    if len(lines) > LINES_MAX:
        raise Malformed("flagz", f"more than {LINES_MAX} lines")
    flags: dict[str, str] = {}
    for line in lines[1:]:
        if line.startswith(b"Warning: "):
            continue
        match = _FLAG.fullmatch(line)
        if match is None:
            raise Malformed("flagz", "a flag and its value expected", line)
        flags[match[1].decode()] = match[2].decode("utf-8", "replace")
    if not flags:
        raise Malformed("flagz", "no flag in it")
    return flags
