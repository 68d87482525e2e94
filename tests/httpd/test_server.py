"""What peers may do to the HTTP server, and what they get for it."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.httpd.address import Address, listen
from agent.httpd.connection import Limits
from agent.httpd.message import Refused, RequestReader
from tests.httpd.serving import REQUEST, Running

Serve = Callable[..., Running]
CLOSE = b"Connection: close\r\n\r\n"


def status(answer: bytes) -> bytes:
    return answer.split(b"\r\n", 1)[0]


def test_requests_on_one_connection_are_answered_in_order(serve: Serve) -> None:
    """Two pipelined requests give two answers, and the connection ends when it is told to."""
    answer = serve().exchange(b"GET /a?x=1 HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n" + CLOSE)
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert answer.index(b"GET /a x=1") < answer.index(b"GET /b ")
    assert b"Connection: keep-alive" in answer
    assert answer.split(b"\r\n\r\n")[1].count(b"Connection: close") == 1


def test_head_has_headers_and_no_body(serve: Serve) -> None:
    """HEAD is answered like GET, without the body."""
    answer = serve().exchange(b"HEAD /a HTTP/1.1\r\nHost: h\r\n" + CLOSE)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"Content-Length: 8" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 4000, b"431"),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 40000, b"431"),
        (b"GET / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100000, b"413"),
        (b"GET /defect HTTP/1.1\r\nHost: h\r\n" + CLOSE, b"500"),
    ],
)
def test_bad_requests_get_their_status_and_the_server_goes_on(serve: Serve, data: bytes, expected: bytes) -> None:
    """What is not HTTP, or beyond the bounds, is answered with its status and ends its own connection only."""
    running = serve()
    assert status(running.exchange(data)).split()[1] == expected
    assert b"200 OK" in running.exchange(b"GET /a HTTP/1.1\r\nHost: h\r\n" + CLOSE)


def test_a_slow_head_is_ended_by_its_deadline(serve: Serve) -> None:
    """A request that does not become complete gets 408; a silent connection just ends."""
    running = serve(Limits(head_s=0.2))
    assert status(running.exchange(b"GET / HTTP/1.1\r\nA: ")).split()[1] == b"408"
    assert running.exchange(b"") == b""
    assert running.observer.refusals == ["status_408"]


def test_an_idle_connection_ends(serve: Serve) -> None:
    """After its answer a connection lives idle_s, no longer."""
    running = serve(Limits(idle_s=0.2))
    assert running.exchange(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n").endswith(b"GET /a ")


def test_silent_connections_cannot_keep_a_scraper_out(serve: Serve) -> None:
    """With every place taken by silent or half-spoken clients a newcomer is served, in the place of the oldest."""
    running = serve(Limits(connections=4))
    silent = [running.connect() for _ in range(8)]
    for sock in silent[::2]:
        sock.sendall(b"GET /half HTTP/1.1\r\nA: ")
    try:
        for _ in range(3):
            assert b"200 OK" in running.exchange(b"GET /a HTTP/1.1\r\nHost: h\r\n" + CLOSE)
        assert running.observer.refusals.count("displaced") >= 4
        assert running.observer.open <= 4
    finally:
        for sock in silent:
            sock.close()


def test_when_every_place_is_being_answered_the_newcomer_is_told(serve: Serve) -> None:
    """Nobody who is being answered is displaced; one more gets 503, and the answers under way arrive."""
    running = serve(Limits(connections=2))
    busy = [running.connect() for _ in range(2)]
    for sock in busy:
        sock.sendall(b"GET /held HTTP/1.1\r\nHost: h\r\n" + CLOSE)
        assert running.held.acquire(timeout=5)
    assert status(running.exchange(b"")).split()[1] == b"503"
    running.hold.set()
    for sock in busy:
        assert b"200 OK" in sock.recv(65536)
        sock.close()


def test_an_answer_nobody_takes_ends(serve: Serve) -> None:
    """A client that stops reading loses its connection after answer_s; its place is free again."""
    running = serve(Limits(connections=1, answer_s=0.2))
    with running.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n")
        assert sock.recv(1)
        until = time.monotonic() + 10
        while b"200 OK" not in running.exchange(b"GET /a HTTP/1.1\r\nHost: h\r\n" + CLOSE):
            assert time.monotonic() < until, "the place was never free again"
    assert "transport" in running.observer.refusals


class OutOfDescriptors(socket.socket):
    """A listening socket whose first ``refusals`` connections find no descriptor left."""

    refusals = 3

    def accept(self) -> tuple[socket.socket, object]:
        if self.refusals:
            self.refusals -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


def test_a_machine_out_of_descriptors_is_waited_for(capfd: pytest.CaptureFixture[str]) -> None:
    """It passes; to end the agent over it would cost the node its metrics just then. Counted each time, said once."""
    listener = OutOfDescriptors(fileno=listen(Address("127.0.0.1", 0)).detach())
    running = Running(Limits(), None, listener)
    try:
        assert b"200 OK" in running.exchange(REQUEST)
    finally:
        running.stop()
    assert running.observer.refusals == ["resources"] * 3
    assert capfd.readouterr().err.count("Too many open files") == 1


def test_a_machine_out_of_threads_is_waited_for(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the node's PIDs used up the client is told, its place is free again, and the server goes on."""
    running = serve(Limits(connections=1))
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", _no_thread)
        assert status(running.exchange(b"")).split()[1] == b"503"
    assert b"200 OK" in running.exchange(REQUEST)
    assert running.observer.refusals == ["resources"]


def _no_thread(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_stopping_ends_idle_connections_at_once(serve: Serve) -> None:
    """An idle keep-alive connection does not hold up the end."""
    running = serve()
    with running.connect() as sock:
        sock.sendall(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
        assert sock.recv(65536)
        running.stop()
        assert sock.recv(1) == b""


def test_an_offer_to_speak_another_protocol_is_ignored(serve: Serve) -> None:
    """Clients that would like HTTP/2 (Java's by default, curl --http2) are answered in HTTP/1.1, and may go on."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n"
    answer = serve().exchange(
        b"GET /a HTTP/1.1\r\nHost: h\r\n" + offer + b"GET /b HTTP/1.1\r\nHost: h\r\n" + offer + REQUEST
    )
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.index(b"GET /a ") < answer.index(b"GET /b ")


@given(st.lists(st.binary(max_size=200), max_size=6))
def test_no_bytes_break_the_reader(chunks: list[bytes]) -> None:
    """Any bytes, in any pieces, are requests or refused: nothing else is raised."""
    reader, status = RequestReader(), 200
    try:
        for chunk in chunks:
            reader.feed(chunk)
    except Refused as refused:
        status = refused.status
    assert status in (200, 400, 413, 414, 431)


@given(st.integers(1, 60))
def test_a_request_in_any_pieces_is_the_same_request(size: int) -> None:
    """Where the network cuts a request makes no difference."""
    data = b"GET /metrics?collect%5B%5D=cpu&x HTTP/1.1\r\nHost: h\r\nAccept: a\r\nAccept: b\r\n\r\n"
    reader = RequestReader()
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])
    (request,) = reader.requests
    assert (request.method, request.path, request.keep_alive) == ("GET", "/metrics", True)
    assert request.headers["accept"] == "a, b"
    assert request.parameters() == [("collect[]", "cpu"), ("x", "")]
    assert not reader.partial
