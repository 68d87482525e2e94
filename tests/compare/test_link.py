"""Links: what they carry is counted, and they can be cut and mended."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest

from agent.compare.link import Carried, Link, Links
from agent.errors import AgentError
from tests.stream.waiting import until


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        yield listening


@pytest.fixture
def links(server: socket.socket) -> Iterator[Links]:
    """One link to the server, carried."""
    made = Links()
    made.one = made.open()  # type: ignore[attr-defined]
    made.one.target = server.getsockname()  # type: ignore[attr-defined]
    made.start()
    yield made
    made.close()


@pytest.fixture
def link(links: Links) -> Link:
    return links.one  # type: ignore[attr-defined, no-any-return]


def connect(link: Link) -> socket.socket:
    host, _, port = link.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def receive(end: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += end.recv(size - len(data)) or pytest.fail("closed")
    return data


def test_a_port_that_cannot_be_had_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no traceback."""

    def none_left(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "create_server", none_left)
    with pytest.raises(AgentError, match=r"^no port can be had on 127\.0\.0\.1: Too many open files$"):
        Link()


def test_every_byte_is_carried_and_counted_by_who_sent_it(server: socket.socket, link: Link) -> None:
    """More than any buffer holds, in both directions."""
    with connect(link) as near, server.accept()[0] as far:
        far.settimeout(10)
        near.sendall(b"ask")
        assert receive(far, 3) == b"ask"
        there = bytes(range(256)) * 4096
        far.sendall(there)
        assert receive(near, len(there)) == there
        until(lambda: link.carried == Carried(3, len(there)))


def test_the_end_of_one_side_is_the_end_of_the_other(server: socket.socket, link: Link) -> None:
    """Whoever closes."""
    with connect(link) as near, server.accept()[0] as far:
        far.close()
        assert near.recv(1) == b""


def test_a_cut_link_ends_its_connections_and_makes_none(server: socket.socket, links: Links, link: Link) -> None:
    """Until it is mended; what is counted stays."""
    with connect(link) as near, server.accept()[0]:
        near.sendall(b"12345")
        until(lambda: link.carried.total == 5)
        links.cut(link)
        assert ends(near)
    with connect(link) as refused:
        assert ends(refused)
    links.mend(link)
    with connect(link) as near, server.accept()[0] as far:
        far.settimeout(10)
        near.sendall(b"6")
        assert receive(far, 1) == b"6"
    assert link.carried == Carried(6, 0)


def test_a_link_to_nobody_is_as_good_as_cut(links: Links, link: Link) -> None:
    """Without a target, and where nobody listens."""
    link.target = None
    with connect(link) as near:
        assert ends(near)
    with socket.create_server(("127.0.0.1", 0)) as gone:
        link.target = gone.getsockname()
    with connect(link) as near:
        assert ends(near)


def ends(end: socket.socket) -> bool:
    try:
        return end.recv(1) == b""
    except ConnectionError:
        return True
