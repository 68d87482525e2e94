"""``python -m benchmarks.wire``: what a sample costs on the wire and in the codec, on two recorded corpora.

Sizes are of whole Records, keyframes included, over 60 ticks of one file. What names every series comes once in a file,
of 15 minutes or 1 MiB, and stands beside them. The peers' sizes are of the same ticks, each whole. Times are CPU, the
best of several runs: what the code costs, not what else the machine did. Values are new objects at every tick, as a
collection makes them.
"""

from __future__ import annotations

import gc
import gzip
import marshal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import cramjam

from agent.exposition.render import Renderer
from agent.model import Batch, Block
from agent.push.recorder import Recorder
from agent.push.spool import Limits, Spool
from agent.wire.decoder import Decoder
from agent.wire.encoder import Encoder
from agent.wire.ingest_pb2 import Body
from agent.wire.record import pack, unpack
from benchmarks import on_the_wire, remote_write
from benchmarks.corpus import Recorded, read

ROUNDS: Final = 15
SID: Final = bytes(16)
SIZE_MAX: Final = {"node": 0.66, "containers": 1.5}
WIRE_SIZE_MAX: Final = {"node": 0.8, "containers": 1.6}
MOVED_SIZE_MAX: Final = 2.8
ENCODE_US_MAX, ENCODE_SYNC_US_MAX, DECODE_US_MAX = 0.15, 0.20, 0.08
TICKS_IN_A_FILE: Final = 90
NEVER: Final = Limits(sync_s=1e9, sync_bytes=1 << 40, file_age_s=1e9)
ALWAYS: Final = NEVER._replace(sync_bytes=1)


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
    names, records = encoded(ticks)
    size, peers = sum(map(len, records)), others(ticks)
    carried = on_the_wire.carried(ticks, _recording())
    file_samples = samples / len(ticks) * TICKS_IN_A_FILE
    return [
        Figure(f"{name}: series", samples / len(ticks), ""),
        Figure(f"{name}: series that move from tick to tick", moved / samples * len(ticks) / still * 100, "%"),
        Figure(f"{name}: records, keyframes included", size / samples, "B/sample", SIZE_MAX[name]),
        Figure(f"{name}: the same by samples that moved", size / moved, "B/moved", MOVED_SIZE_MAX),
        Figure(
            f"{name}: the same in TLS, HTTP/2 and gRPC", (carried.up - names) / samples, "B/sample", WIRE_SIZE_MAX[name]
        ),
        Figure(f"{name}: acknowledgements, in the same", carried.down / samples, "B/sample"),
        Figure(f"{name}: names, types and HELP, once in a file of 15 minutes", names / file_samples, "B/sample"),
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


def encoded(ticks: list[Recorded]) -> tuple[int, list[bytes]]:
    """What the names add to the file's first record, and the records without them."""
    encoder = Encoder()
    encoder.begin(())
    first = pack(SID, 1, encoder.tick(ticks[0].blocks, ticks[0].unix_ms, ticks[0].boot_ms))
    schema = encoder.begin(ticks[0].blocks)
    bodies = (encoder.tick(blocks, unix_ms, boot_ms) for unix_ms, boot_ms, blocks in ticks)
    records = [pack(SID, 1 + number, body) for number, body in enumerate(bodies)]
    alone = Decoder(schema)
    alone.apply(unpack(records[0]).body)  # it is not read without
    return len(first) - len(records[0]), records


def _recording() -> Callable[[bytes, int, Recorded], bytes]:
    """As the agent does it: the file's header is empty, and what names the series travels in its first record."""
    encoder = Encoder()
    encoder.begin(())
    return lambda sid, seq, tick: pack(sid, seq, encoder.tick(tick.blocks, tick.unix_ms, tick.boot_ms))


def others(ticks: list[Recorded]) -> dict[str, int]:
    """Bytes of the same ticks in the formats of others."""
    renderer = Renderer()
    text = [renderer.render(tick.blocks, "text") for tick in ticks]
    found = {"text, gzip": sum(len(gzip.compress(page, 6)) for page in text)}
    for version, encode in ((1, remote_write.version_1), (2, remote_write.version_2)):
        requests = [encode(tick.blocks, tick.unix_ms) for tick in ticks]
        found[f"remote write {version}.0, snappy"] = sum(len(cramjam.snappy.compress_raw(one)) for one in requests)
    return found


def fresh(ticks: list[Recorded]) -> Iterator[Recorded]:
    """The same ticks, of new objects."""
    for unix_ms, boot_ms, blocks in ticks:
        copied = marshal.loads(marshal.dumps([block.values for block in blocks], 2))
        made = tuple(Block(family, keys, values) for (family, keys, _), values in zip(blocks, copied, strict=True))
        yield Recorded(unix_ms, boot_ms, made)


def times(name: str, ticks: list[Recorded], records: list[bytes], samples: int) -> list[Figure]:
    """CPU of a whole pass over the corpus, by sample."""
    encoder = Encoder()
    schema = encoder.begin(ticks[0].blocks)

    def spooled(limits: Limits) -> Callable[[], int]:
        def work() -> int:
            with tempfile.TemporaryDirectory(prefix="headroom-bench-") as directory:
                spool = Spool(directory, limits)
                recorder = Recorder(spool)
                recorder.samples(_batch(ticks[0]), 0.0)  # it names every series
                spent = sum(_spent(recorder.samples, _batch(tick), 0.0) for tick in fresh(ticks))
                spool.close()
            return spent

        return work

    def encode() -> int:
        encoder.begin(ticks[0].blocks)
        return sum(_spent(encoded_tick, tick) for tick in fresh(ticks))

    def encoded_tick(tick: Recorded) -> bytes:
        return pack(SID, 1, encoder.tick(tick.blocks, tick.unix_ms, tick.boot_ms))

    def decode(use: Callable[[Decoder, Body], object]) -> Callable[[], int]:
        def work() -> int:
            decoder = Decoder(schema)
            return _spent(lambda: [use(decoder, unpack(record).body) for record in records])

        return work

    def best(work: Callable[[], int]) -> float:
        return min(work() for _ in range(ROUNDS)) / 1000 / samples

    gc.collect()
    gc.freeze()
    return [
        Figure(f"{name}: encode and compress", best(encode), "us/sample"),
        Figure(f"{name}: the same into the spool", best(spooled(NEVER)), "us/sample", ENCODE_US_MAX),
        Figure(f"{name}: the same with fdatasync", best(spooled(ALWAYS)), "us/sample", ENCODE_SYNC_US_MAX),
        Figure(f"{name}: inflate, decode and apply", best(decode(Decoder.apply)), "us/sample", DECODE_US_MAX),
        Figure(
            f"{name}: the same, as blocks",
            best(decode(lambda decoder, body: (decoder.apply(body), decoder.blocks()))),
            "us/sample",
        ),
    ]


def _batch(tick: Recorded) -> Batch:
    return Batch(tick.blocks, tick.unix_ms / 1000, 0.0, frozenset())


def _spent(work: Callable[..., object], *arguments: object) -> int:
    """CPU of this process, nanoseconds."""
    begun = time.process_time_ns()
    work(*arguments)
    return time.process_time_ns() - begun


def rows() -> list[Figure]:
    return [figure for name in SIZE_MAX for figure in figures(name)]


def table(found: list[Figure]) -> str:
    return "\n".join(("| | | goal |\n|---|---:|---:|", *map(str, found)))


def main() -> int:
    found = rows()
    print(table(found))
    return 0 if all(figure.met for figure in found) else 1


if __name__ == "__main__":
    sys.exit(main())
