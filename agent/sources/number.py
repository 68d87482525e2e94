"""A kernel file that holds one whole number: most of ``/proc/sys`` and many attributes below ``/sys``.

Source: any. Since: any. Shape: ``256``, blanks around it allowed. Units: the file's. Errors: Malformed.
Cost: one read, 2 us.
"""

from __future__ import annotations

from agent.errors import Malformed
from agent.sources.root import Root


def parse_number(buf: bytes, path: str) -> int:
    """``path`` is only for the error."""
    try:
        return int(buf)
    except ValueError:
        raise Malformed(path, "a whole number expected", buf) from None


def read_number(root: Root, path: str) -> int:
    return parse_number(root.attribute(path), path)
