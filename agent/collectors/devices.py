"""The names of network devices as label values."""

from __future__ import annotations


def label(device: str) -> str:
    """The name, with the bytes in it that are not UTF-8 spelled out, so that no two devices get the same label."""
    if device.isascii():
        return device
    return device.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
