"""Responses of the kubelet, from any bytes in any pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sources.kubelet.failure import Failed
from agent.sources.kubelet.response import ResponseReader

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
FULL = HEAD + b"Content-Length: 11\r\n\r\n" + b'{"a": "bc"}'


def read(*pieces: bytes, limit: int = 1000) -> ResponseReader:
    """After these pieces, and the end of the connection if they were not enough."""
    reader = ResponseReader("/pods", limit)
    for piece in (*pieces, b""):
        if not reader.done:
            reader.feed(piece)
    return reader


@given(st.lists(st.integers(0, len(FULL)), max_size=6))
def test_the_pieces_do_not_matter(cuts: list[int]) -> None:
    """Wherever the network cuts it, it is the same answer."""
    bounds = [0, *sorted(cuts), len(FULL)]
    pieces = [FULL[start:end] for start, end in pairwise(bounds) if start < end]
    reader = read(*pieces)
    assert (reader.body(), reader.keep_alive) == (b'{"a": "bc"}', True)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 500 No\r\nContent-Length: 10\r\n\r\n\x1b[2J\xe2\x80\xaea\x9bb",
        b"HTTP/1.1 200 OK\r\nContent-Type: a\x9b2J\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: \x9b2J\r\n\r\n{}",
    ],
)
def test_what_is_quoted_steers_no_terminal(answer: bytes) -> None:
    """``headroom doctor`` and ``headroom eviction`` print the reason as it is."""
    with pytest.raises(Failed) as failure:
        read(answer)
    assert str(failure.value).isprintable()
    assert failure.value.cause != "protocol"


@given(
    st.lists(st.binary(min_size=1)) | st.lists(st.sampled_from([FULL, HEAD, b"\r\n", b"HTTP/1.1 ", b"200 OK", b"{}"]))
)
def test_any_bytes_are_an_answer_or_a_failure(pieces: list[bytes]) -> None:
    """Nothing else is raised."""
    try:
        reader = read(*pieces)
    except Failed:
        return
    assert reader.done


@pytest.mark.parametrize(
    ("pieces", "cause"),
    [
        ((), "reset"),
        ((b"HTTP/1.1 200",), "reset"),
        ((FULL[:-1],), "truncated"),
        ((HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",), "truncated"),
        ((HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",), "protocol"),
        ((HEAD + b"Content-Length: -1\r\n\r\n",), "protocol"),
        ((HEAD + b"Content-Length: 1001\r\n\r\n",), "too_large"),
        ((HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n",), "protocol"),
        ((HEAD + b"\r\n" + b" " * 1001,), "too_large"),
        ((HEAD + b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + b" " * 1001,), "too_large"),
        ((FULL + FULL,), "protocol"),
        ((b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,), "protocol"),
        ((b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",), "protocol"),
        ((b"HTTP/1.1 500 Oops\r\n\r\n", b"x" * 5000), "server_error"),
        ((b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 20\r\n\r\nUnau",), "unauthorized"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_answer(pieces: tuple[bytes, ...], cause: str) -> None:
    """One word for each."""
    with pytest.raises(Failed) as failed:
        read(*pieces)
    assert failed.value.cause == cause


def test_an_interim_answer_is_not_the_answer() -> None:
    """100 Continue, even in one piece with what follows."""
    assert read(b"HTTP/1.1 100 Continue\r\n\r\n" + FULL).body() == b'{"a": "bc"}'
    assert read(b"HTTP/1.1 100 Continue\r\n\r\n", FULL).body() == b'{"a": "bc"}'


def test_a_body_of_unknown_length_ends_with_the_connection() -> None:
    """Which then is not used again."""
    reader = read(HEAD + b"\r\n", b"{", b"}")
    assert (reader.body(), reader.keep_alive) == (b"{}", False)
