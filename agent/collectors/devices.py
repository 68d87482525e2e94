"""The names of network devices and of files as label values."""

from __future__ import annotations


def label(name: str) -> str:
    """The name, with the bytes in it that are not UTF-8 spelled out, so that no two names get the same label."""
    if name.isascii():
        return name
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
