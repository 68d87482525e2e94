"""``python -m benchmarks.load``: agents that stream, or a bare gRPC echo to stream to, in a process of its own.

``load HOST:PORT STREAMS PER_SECOND SECONDS`` sends records of 1,500 samples each, all encoded beforehand, so that the
machine measures the other end; it prints JSON. ``echo PORT`` answers each message with as many bytes as an Ack has, and
does nothing else.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any, NamedTuple

import grpc

from agent.model import Block
from agent.push.transport import METHOD, OPTIONS
from agent.wire import ingest_pb2 as pb
from agent.wire.encoder import Encoder
from agent.wire.record import pack
from benchmarks.corpus import read

SAMPLES, TICKS, FIRST_MS = 1500, 60, 1_700_000_000_000
ACK = bytes(48)


class Encoded(NamedTuple):
    """A record but for its session and number. ``begins``: a file does."""

    begins: bool
    body_bytes: int
    crc32: int
    body: bytes


def encoded(count: int) -> list[Encoded]:
    """The node's corpus and as much of that of the containers as it takes, again and again, in files of 60."""
    encoder, found = Encoder(), []
    both = list(zip(read("node"), read("containers"), strict=True))
    for number in range(count):
        node, containers = both[number % TICKS]
        if number % TICKS == 0:
            encoder.begin(())
        blocks = _cut((*node.blocks, *containers.blocks), SAMPLES)
        body = encoder.tick(blocks, FIRST_MS + number * 10_000, (number + 1) * 10_000)
        record = pb.Record.FromString(pack(bytes(16), 1, body))
        found.append(Encoded(number % TICKS == 0, record.body_bytes, record.body_crc32, record.body))
    return found


def _cut(blocks: tuple[Block, ...], most: int) -> tuple[Block, ...]:
    kept: list[Block] = []
    for family, keys, values in blocks:
        room = most - sum(len(block.values) for block in kept)
        if room > 0:
            kept.append(Block(family, keys[:room], values[:room]))
    return tuple(kept)


class Agent:
    """One node's stream, on a connection of its own."""

    def __init__(self, number: int, target: str, records: list[Encoded]) -> None:
        self._key = pb.Key(spool_id=os.urandom(16), lane=pb.LANE_SAMPLES, number=1)
        self._sid = os.urandom(16)
        self._node = f"node-{number}"
        self._records = records
        self._sent_s: dict[int, float] = {}
        self._channel = grpc.aio.insecure_channel(target, OPTIONS)
        self._call: Any = self._channel.stream_stream(METHOD)()
        self.acked = 0
        self.waits_s: list[float] = []

    async def hello(self, echo: bool) -> None:
        listed = pb.Session(key=self._key, sid=self._sid, first=1)
        hello = pb.Hello(protocol=1, agent_version="bench", node=self._node, interval_ms=1000, sessions=[listed])
        await self._call.write(pb.AgentMessage(hello=hello).SerializeToString())
        await self._call.read()
        self.reading = asyncio.create_task(self._read(echo))

    async def _read(self, echo: bool) -> None:
        while self.acked < len(self._records):
            data = await self._call.read()
            if data is grpc.aio.EOF:
                return
            upto = self.acked + 1 if echo else pb.AggregatorMessage.FromString(data).ack.states[0].committed
            now_s = time.monotonic()
            for seq in range(self.acked + 1, upto + 1):
                self.waits_s.append(now_s - self._sent_s.pop(seq))
            self.acked = upto

    async def run(self, begin_s: float, every_s: float, echo: bool) -> None:
        for index, record in enumerate(self._records):
            await asyncio.sleep(max(0.0, begin_s + index * every_s - time.monotonic()))
            if record.begins and not echo:
                header = pb.Header(format=1, key=self._key, sid=self._sid, first=index + 1)
                await self._call.write(pb.AgentMessage(header=header).SerializeToString())
            seq = index + 1
            _, plain, crc32, body = record
            message = pb.Record(sid=self._sid, seq=seq, body_bytes=plain, body_crc32=crc32, body=body)
            self._sent_s[seq] = time.monotonic()
            await self._call.write(pb.AgentMessage(record=message).SerializeToString())
        await asyncio.wait_for(self.reading, 30)

    async def close(self) -> None:
        self._call.cancel()
        await self._channel.close()


async def load(target: str, streams: int, per_s: float, seconds: float, echo: bool) -> None:
    every_s = streams / per_s
    records = encoded(int(seconds / every_s))
    agents = [Agent(number, target, records) for number in range(streams)]
    await asyncio.gather(*(agent.hello(echo) for agent in agents))
    print("ready", flush=True)
    begin_s = time.monotonic() + 0.5
    await asyncio.gather(*(one.run(begin_s + i / per_s, every_s, echo) for i, one in enumerate(agents)))
    waits_s = sorted(wait for agent in agents for wait in agent.waits_s)
    said = {"records": len(waits_s), "seconds": time.monotonic() - begin_s, "p99_s": waits_s[len(waits_s) * 99 // 100]}
    print(json.dumps(said), flush=True)
    await asyncio.to_thread(sys.stdin.readline)  # until the other end has been looked at
    await asyncio.gather(*(agent.close() for agent in agents))


async def echo(port: str) -> None:
    async def handle(_: object, context: Any) -> None:
        while await context.read() is not grpc.aio.EOF:
            await context.write(ACK)

    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    service, method = METHOD.strip("/").split("/")
    handlers = {method: grpc.stream_stream_rpc_method_handler(handle)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    if sys.argv[1] == "echo":
        asyncio.run(echo(sys.argv[2]))
    else:
        _, _, where, count, rate, duration, kind = sys.argv
        asyncio.run(load(where, int(count), float(rate), float(duration), kind == "echo"))
