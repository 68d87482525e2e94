"""Peers that do not speak the protocol: each costs itself its stream, and nobody else anything."""

from __future__ import annotations

import queue
from collections.abc import Iterator

import grpc
import pytest

from tests.aggregator.agent_end import METHOD, AgentEnd, Told, hello
from tests.aggregator.running import Running, eventually, start_aggregator


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with start_aggregator(tmp_path_factory.mktemp("abuse")) as one:
        yield one
        assert "level=error" not in one.log()


def numbered(number: int) -> Told:
    told = Told()
    told.key.number = number
    return told


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xff\xff\xff", grpc.StatusCode.INVALID_ARGUMENT),
        (b"", grpc.StatusCode.INVALID_ARGUMENT),
        (bytes(5 << 20), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (hello(node="../x").SerializeToString(), grpc.StatusCode.PERMISSION_DENIED),
        (hello(*(Told(n).listed() for n in range(1, 66))).SerializeToString(), grpc.StatusCode.INVALID_ARGUMENT),
        (hello(numbered(2**64 - 1).listed()).SerializeToString(), grpc.StatusCode.INVALID_ARGUMENT),
        (None, grpc.StatusCode.DEADLINE_EXCEEDED),
    ],
    ids=["garbage", "empty", "oversize", "no name", "sessions", "number", "silence"],
)
def test_what_comes_first_is_a_hello(running: Running, data: bytes | None, code: grpc.StatusCode) -> None:
    """Anything else ends the stream with its reason; who says nothing has ten seconds."""
    sent: queue.Queue[bytes | None] = queue.Queue()
    if data is not None:
        sent.put(data)
    with grpc.insecure_channel(running.grpc, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        call = channel.stream_stream(METHOD)(iter(sent.get, None), timeout=30)
        with pytest.raises(grpc.RpcError):
            next(call)
        assert call.code() == code
        sent.put(None)


def test_connections_that_break(running: Running) -> None:
    """However many: nothing is left of them."""
    for number in range(30):
        with AgentEnd(running.grpc) as end:
            end.send(hello(Told().listed(), node=f"n{number}"))
    assert eventually(lambda: running.metric("headroom_aggregator_streams") == 0)
    assert all(node["streams"] == 0 for node in running.json("/api/v1/nodes")["nodes"])
