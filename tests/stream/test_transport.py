"""The agent's end on real sockets: what is sent and heard, who is refused, and what is bounded."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import ProtocolError
from agent.push import messages
from agent.push.commands import SendLost
from agent.push.held import Held, Key
from agent.push.messages import Greeting, Identity
from agent.push.transport import (
    HEARD_MAX,
    QUEUE_BYTES,
    Connected,
    Ended,
    Happening,
    Link,
    Received,
    Security,
    Transport,
)
from agent.wire import ingest_pb2 as pb
from tests.httpd.serving import make_certificate
from tests.stream.scripted import Aggregator, Store
from tests.stream.waiting import until

PLAIN = Security(insecure=True)
HELD_S = 1.0  # whoever may write again is told long before
KEY = Key(b"p" * 16, "samples", 3)
HELLO = messages.hello(Identity("1", "c", "n", b"b" * 16, 1000), 5, [Held(KEY, b"s" * 16, 7, 9, False, ())], 1, 2)


class Hearing:
    """A link, with all that was ever taken from it."""

    def __init__(self, transport: Transport) -> None:
        self.rung = threading.Event()
        self.link: Link = transport.connect(self.rung.set)
        self._heard: list[Happening] = []

    @property
    def heard(self) -> list[Happening]:
        self._heard += self.link.take()
        return self._heard

    def ended(self) -> Ended:
        until(lambda: self.heard and isinstance(self.heard[-1], Ended))
        last = self.heard[-1]
        assert isinstance(last, Ended)
        return last

    def connected(self) -> None:
        until(lambda: self.heard)
        assert isinstance(self.heard[0], Connected), self.heard


@pytest.fixture
def transport() -> Iterator[Callable[..., Transport]]:
    made: list[Transport] = []

    def make(*targets: str, security: Security = PLAIN) -> Transport:
        made.append(Transport(targets, security))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def aggregator() -> Iterator[Callable[..., Aggregator]]:
    made: list[Aggregator] = []

    def make(credentials: grpc.ServerCredentials | None = None) -> Aggregator:
        made.append(Aggregator(Store(), 0, credentials))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def test_messages_are_those_of_the_contract() -> None:
    """What is put together by hand reads as the message that it is, with the bytes of the spool in it."""
    record = pb.Record(sid=b"s" * 16, seq=300, body=b"x" * 300)
    assert pb.AgentMessage.FromString(messages.record(record.SerializeToString())).record == record
    header = pb.Header(format=1, first=2)
    assert pb.AgentMessage.FromString(messages.header(header.SerializeToString())).header == header
    lost = pb.AgentMessage.FromString(messages.lost(SendLost(KEY, 4, 5, "DISK"))).lost
    assert (lost.key.number, lost.key.lane, lost.first, lost.last, lost.reason) == (
        3,
        pb.LANE_SAMPLES,
        4,
        5,
        pb.Lost.DISK,
    )
    hello = pb.AgentMessage.FromString(HELLO).hello
    assert (hello.protocol, hello.cluster, hello.node, hello.interval_ms) == (1, "c", "n", 1000)
    assert [(one.base, one.first, one.last, one.sealed) for one in hello.sessions] == [(7, 10, 9, False)]
    assert pb.AgentMessage.FromString(messages.goodbye()).WhichOneof("kind") == "goodbye"


@given(st.binary(max_size=200))
def test_any_answer_is_understood_or_refused(data: bytes) -> None:
    """Whatever an aggregator sends is a Greeting, states, or a ProtocolError."""
    try:
        said = messages.heard(data)
    except ProtocolError:
        return
    assert isinstance(said, (Greeting, tuple))


def test_too_many_states_are_refused() -> None:
    """No answer speaks of more sessions than a Hello may list."""
    state = pb.State(key=pb.Key(spool_id=b"p" * 16, lane=pb.LANE_EVENTS, number=1), committed=1)
    message = pb.AggregatorMessage(ack=pb.Ack(states=[state] * 65)).SerializeToString()
    with pytest.raises(ProtocolError):
        messages.heard(message)


def test_a_hello_is_answered(transport: Callable[..., Transport], aggregator: Callable[..., Aggregator]) -> None:
    """What is sent arrives, and the answer is there with the bell."""
    other = aggregator()
    hearing = Hearing(transport(f"127.0.0.1:{other.port}"))
    hearing.connected()
    hearing.rung.clear()
    hearing.link.send(HELLO)
    until(lambda: len(hearing.heard) > 1)
    assert hearing.rung.is_set()
    received = hearing.heard[1]
    assert isinstance(received, Received)
    said = messages.heard(received.data)
    assert isinstance(said, Greeting)
    assert said.welcome.states[0].key == KEY
    assert "authorization" not in other.metadata[0]


def test_what_is_queued_still_goes_with_a_farewell(
    transport: Callable[..., Transport], aggregator: Callable[..., Aggregator]
) -> None:
    """A Goodbye that was sent just before the close arrives."""
    other = aggregator()
    hearing = Hearing(transport(f"127.0.0.1:{other.port}"))
    hearing.connected()
    hearing.link.send(HELLO)
    hearing.link.send(messages.goodbye())
    hearing.link.close(flush=True)
    until(lambda: other.goodbyes == 1)


def test_nobody_there(transport: Callable[..., Transport]) -> None:
    """A port where nobody listens is unavailable, at once and without a stream."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    hearing = Hearing(transport(f"127.0.0.1:{port}"))
    assert hearing.ended().reason == "unavailable"
    assert len(hearing.heard) == 1


def test_targets_take_turns(transport: Callable[..., Transport], aggregator: Callable[..., Aggregator]) -> None:
    """The next try after a failure is of the next target."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    both = transport(f"127.0.0.1:{port}", f"127.0.0.1:{aggregator().port}")
    assert Hearing(both).ended().reason == "unavailable"
    both.failed()
    Hearing(both).connected()


def test_what_waits_to_be_sent_is_bounded(transport: Callable[..., Transport]) -> None:
    """Where the other end reads nothing the link is soon not writable, and writable again when it does."""
    reading = threading.Event()

    def serve(requests: Iterator[bytes], _: grpc.ServicerContext) -> Iterator[bytes]:
        reading.wait(20)
        for _request in requests:
            pass
        yield b""

    server = _serve(serve)
    hearing = Hearing(transport(f"127.0.0.1:{server.port}"))
    hearing.connected()
    sent = 0
    while sent < 64 << 20 and (hearing.link.writable or hearing.rung.wait(HELD_S)):
        hearing.rung.clear()
        while hearing.link.writable:
            hearing.link.send(b"x" * 16384)
            sent += 16384
    assert QUEUE_BYTES <= sent < 16 << 20
    reading.set()
    until(lambda: hearing.link.writable)
    server.stop()


def test_an_answer_that_is_too_long_ends_the_stream(transport: Callable[..., Transport]) -> None:
    """More than 16 KiB at once from the aggregator is not even read."""
    server = _serve(lambda requests, _: iter([b"x" * 20_000]))
    hearing = Hearing(transport(f"127.0.0.1:{server.port}"))
    assert hearing.ended().reason == "stream"
    assert not any(isinstance(one, Received) for one in hearing.heard)
    server.stop()


def test_a_flood_of_answers_is_held_back(transport: Callable[..., Transport]) -> None:
    """Answers that nobody takes are not read: the sender waits."""
    sent = [0]

    def serve(requests: Iterator[bytes], _: grpc.ServicerContext) -> Iterator[bytes]:
        while sent[0] < 5000:
            sent[0] += 1
            yield b"x" * 10_000

    server = _serve(serve)
    link = transport(f"127.0.0.1:{server.port}").connect(bool)
    until(lambda: len(link._heard) >= HEARD_MAX and not link._room.is_set())
    assert sent[0] < 5000
    assert len(link._heard) < HEARD_MAX + 4
    until(lambda: link.take() and sent[0] == 5000)
    link.close(flush=False)
    server.stop()


def test_no_proxy_but_the_one_that_is_given(
    transport: Callable[..., Transport], aggregator: Callable[..., Aggregator], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the environment says of proxies is not obeyed; ``proxy`` is, and is asked for the aggregator by name."""
    other = aggregator()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for name in ("http_proxy", "https_proxy", "grpc_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        Hearing(transport(f"127.0.0.1:{other.port}")).connected()
        listener.settimeout(20)
        hearing = Hearing(transport("aggregator.test:9911", security=PLAIN._replace(proxy=f"http://127.0.0.1:{port}")))
        near, _ = listener.accept()
        with near:
            assert near.recv(4096).startswith(b"CONNECT aggregator.test:9911 HTTP/1.1\r\n")
    assert hearing.ended().reason == "unavailable"


def test_mutual_tls_with_a_token(
    tmp_path: Path, transport: Callable[..., Transport], aggregator: Callable[..., Aggregator]
) -> None:
    """Both ends show certificates, and the token goes with the stream."""
    security = _certificates(tmp_path)
    other = aggregator(_server_credentials(tmp_path))
    hearing = Hearing(transport(f"127.0.0.1:{other.port}", security=security))
    hearing.connected()
    hearing.link.send(HELLO)
    until(lambda: len(hearing.heard) > 1)
    assert other.metadata[0]["authorization"] == "Bearer secret"


def test_an_aggregator_of_another_ca_gets_nothing(
    tmp_path: Path, transport: Callable[..., Transport], aggregator: Callable[..., Aggregator]
) -> None:
    """A certificate that our CA did not sign ends the try before any byte of ours; so does a client without one."""
    security = _certificates(tmp_path)
    make_certificate(tmp_path, "stranger", "/CN=stranger")
    other = aggregator(_server_credentials(tmp_path))
    target = f"127.0.0.1:{other.port}"
    wrong = security._replace(ca_file=f"{tmp_path}/stranger.pem")
    assert Hearing(transport(target, security=wrong)).ended().reason == "unavailable"
    nobody = security._replace(cert_file="", key_file="")
    assert Hearing(transport(target, security=nobody)).ended().reason == "unavailable"
    assert other.metadata == []


def test_files_that_cannot_be_read_end_the_try(tmp_path: Path, transport: Callable[..., Transport]) -> None:
    """A certificate or a token that is not there is counted as such, and named."""
    security = Security(ca_file=f"{tmp_path}/none.pem")
    ended = Hearing(transport("127.0.0.1:1", security=security)).ended()
    assert ended.reason == "credentials"
    assert "none.pem" in ended.detail


class _serve:
    """A gRPC server with one behaviour."""

    def __init__(self, behaviour: Callable[[Iterator[bytes], grpc.ServicerContext], Iterator[bytes]]) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self._server = grpc.server(ThreadPoolExecutor(4))
        handler = grpc.stream_stream_rpc_method_handler(behaviour)
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("headroom.ingest.v1.Ingest", {"Stream": handler}),)
        )
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def stop(self) -> None:
        self._server.stop(0).wait()


def _certificates(place: Path) -> Security:
    make_certificate(place, "ca", "/CN=test-ca")
    make_certificate(place, "server", "/CN=server", signed_by="ca")
    make_certificate(place, "node", "/CN=node", signed_by="ca")
    (place / "token").write_text("secret\n")
    return Security(f"{place}/ca.pem", f"{place}/node.pem", f"{place}/node.key", f"{place}/token")


def _server_credentials(place: Path) -> grpc.ServerCredentials:
    pair = ((place / "server.key").read_bytes(), (place / "server.pem").read_bytes())
    return grpc.ssl_server_credentials([pair], (place / "ca.pem").read_bytes(), True)
