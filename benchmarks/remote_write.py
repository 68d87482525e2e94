"""The same blocks as Prometheus' remote write would send them, versions 1.0 and 2.0, before snappy.

Written from the specifications: every series with all its labels in each request (1.0), or with references into the
request's own symbols and its type and HELP (2.0). Like the stream, without labels for job, instance or node.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from agent.model import Block, Family, Key

_TYPES = {"counter": 1, "gauge": 2, "histogram": 3, "summary": 5, "untyped": 0}


def version_1(blocks: Sequence[Block], unix_ms: int) -> bytes:
    """``WriteRequest``."""
    series = []
    for labels, value, _ in _series(blocks):
        pairs = b"".join(_bytes(1, _bytes(1, name.encode()) + _bytes(2, text.encode())) for name, text in labels)
        series.append(_bytes(1, pairs + _bytes(2, _sample(value, unix_ms))))
    return b"".join(series)


def version_2(blocks: Sequence[Block], unix_ms: int) -> bytes:
    """``io.prometheus.write.v2.Request``."""
    symbols: dict[str, int] = {"": 0}
    series = []
    for labels, value, family in _series(blocks):
        numbers = [symbols.setdefault(text, len(symbols)) for pair in labels for text in pair]
        about = (
            b"\x08" + _varint(_TYPES[family.type]) + b"\x18" + _varint(symbols.setdefault(family.help, len(symbols)))
        )
        refs = _bytes(1, b"".join(map(_varint, numbers)))
        series.append(_bytes(5, refs + _bytes(2, _sample(value, unix_ms)) + _bytes(5, about)))
    return b"".join(_bytes(4, text.encode()) for text in symbols) + b"".join(series)


def _series(blocks: Sequence[Block]) -> Iterator[tuple[list[tuple[str, str]], float, Family]]:
    for family, keys, values in blocks:
        for key, value in zip(keys, values, strict=True):
            yield _labels(family, key), float(value), family


def _labels(family: Family, key: Key) -> list[tuple[str, str]]:
    name, labels = family.name, list(zip(reversed(family.labels), reversed(key), strict=False))
    if family.type in ("histogram", "summary"):
        name += key[0]
        labels.append(("le" if family.type == "histogram" else "quantile", key[1]))
    return [("__name__", name), *sorted(pair for pair in labels if pair[1])]


def _sample(value: float, unix_ms: int) -> bytes:
    return b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(unix_ms)


def _bytes(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)
