"""``python -m benchmarks.wire``: what a sample costs on the wire and in the codec, on two recorded corpora.

Sizes are of whole Records, keyframes included, over 60 ticks of one file; the file's header, which names every series
once per file (of 15 minutes or 1 MiB), stands beside them. The peers' sizes are of the same ticks, each whole. Times
are CPU, the best of several runs: what the code costs, not what else the machine did.
"""

from __future__ import annotations

import gc
import gzip
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import cramjam

from agent.exposition.render import Renderer
from agent.wire.decoder import Decoder
from agent.wire.encoder import Encoder
from agent.wire.record import pack, unpack
from benchmarks import remote_write
from benchmarks.corpus import Recorded, read

ROUNDS = 15
SID = bytes(16)
SIZE_MAX = {"node": 0.66, "containers": 1.5}
MOVED_SIZE_MAX, DECODE_US_MAX = 2.8, 0.08


class Figure(NamedTuple):
    """One line: what was measured, and what it may be at most."""

    what: str
    value: float
    unit: str
    most: float | None = None

    @property
    def met(self) -> bool:
        return self.most is None or self.value <= self.most

    def __str__(self) -> str:
        goal = "" if self.most is None else f"≤ {self.most:g}{'' if self.met else ' MISSED'}"
        return f"| {self.what} | {self.value:.3f} {self.unit} | {goal} |"


def figures(name: str) -> list[Figure]:
    ticks = read(name)
    samples = sum(len(block.values) for tick in ticks for block in tick.blocks)
    moved, still = moves(ticks), len(ticks) - 1
    schema, records = encoded(ticks)
    size, peers = sum(map(len, records)), others(ticks)
    return [
        Figure(f"{name}: series", samples / len(ticks), ""),
        Figure(f"{name}: series that move from tick to tick", moved / samples * len(ticks) / still * 100, "%"),
        Figure(f"{name}: records, keyframes included", size / samples, "B/sample", SIZE_MAX[name]),
        Figure(f"{name}: the same by samples that moved", size / moved, "B/moved", MOVED_SIZE_MAX),
        Figure(f"{name}: the file's header, over its 60 ticks", len(schema) / samples, "B/sample"),
        *(Figure(f"{name}: {what}", total / samples, "B/sample") for what, total in peers.items()),
        *times(name, ticks, records, samples),
    ]


def moves(ticks: list[Recorded]) -> int:
    """Samples that are another than a tick before, or new."""
    count, before = 0, dict[object, str]()
    for number, tick in enumerate(ticks):
        now = {(b.family, key): repr(v) for b in tick.blocks for key, v in zip(b.keys, b.values, strict=True)}
        count += sum(before.get(name) != text for name, text in now.items()) if number else 0
        before = now
    return count


def encoded(ticks: list[Recorded]) -> tuple[bytes, list[bytes]]:
    """The schema of the file, and its records."""
    encoder = Encoder()
    schema = encoder.begin(ticks[0].blocks).SerializeToString()
    bodies = (encoder.tick(blocks, unix_ms, boot_ms) for unix_ms, boot_ms, blocks in ticks)
    return schema, [pack(SID, 1 + number, body) for number, body in enumerate(bodies)]


def others(ticks: list[Recorded]) -> dict[str, int]:
    """Bytes of the same ticks in the formats of others."""
    renderer = Renderer()
    text = [renderer.render(tick.blocks, "text") for tick in ticks]
    found = {"text, gzip": sum(len(gzip.compress(page, 6)) for page in text)}
    for version, encode in ((1, remote_write.version_1), (2, remote_write.version_2)):
        requests = [encode(tick.blocks, tick.unix_ms) for tick in ticks]
        found[f"remote write {version}.0, snappy"] = sum(len(cramjam.snappy.compress_raw(one)) for one in requests)
    return found


def times(name: str, ticks: list[Recorded], records: list[bytes], samples: int) -> list[Figure]:
    """CPU of a whole pass over the corpus, by sample."""
    encoder = Encoder()
    schema = encoder.begin(ticks[0].blocks)

    def encode() -> None:
        encoder.begin(ticks[0].blocks)
        begun = time.process_time_ns()
        for number, (unix_ms, boot_ms, blocks) in enumerate(ticks):
            pack(SID, 1 + number, encoder.tick(blocks, unix_ms, boot_ms))
        spent.append(time.process_time_ns() - begun)

    def decode() -> None:
        decoder = Decoder(schema)
        begun = time.process_time_ns()
        for record in records:
            decoder.apply(unpack(record).body)
        spent.append(time.process_time_ns() - begun)

    def decode_to_blocks() -> None:
        decoder = Decoder(schema)
        begun = time.process_time_ns()
        for record in records:
            decoder.apply(unpack(record).body)
            decoder.blocks()
        spent.append(time.process_time_ns() - begun)

    spent: list[int] = []

    def best(work: Callable[[], None]) -> float:
        spent.clear()
        for _ in range(ROUNDS):
            work()
        return min(spent) / 1000 / samples

    gc.collect()
    gc.freeze()
    return [
        Figure(f"{name}: encode and compress", best(encode), "us/sample"),
        Figure(f"{name}: inflate, decode and apply", best(decode), "us/sample", DECODE_US_MAX),
        Figure(f"{name}: the same, as blocks", best(decode_to_blocks), "us/sample"),
    ]


def main() -> int:
    found = [figure for name in SIZE_MAX for figure in figures(name)]
    print("| | | goal |\n|---|---:|---:|")
    print("\n".join(map(str, found)))
    return 0 if all(figure.met for figure in found) else 1


if __name__ == "__main__":
    sys.exit(main())
