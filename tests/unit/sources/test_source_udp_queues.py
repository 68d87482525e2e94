"""``/proc/net/udp`` and ``udp6``."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Gone, Malformed
from agent.sources.host import Host
from agent.sources.udp_queues import UdpQueues, parse_udp_queues, read_udp_queues

TITLES = (
    "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt"
    "   uid  timeout inode ref pointer drops            \n"
)
TITLES6 = (
    "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when"
    " retrnsmt   uid  timeout inode ref pointer drops\n"
)


def socket(transmit: int, receive: int, address: str = "00000000") -> str:
    return (
        f" 1337: {address}:0035 {address}:0000 07 {transmit:08X}:{receive:08X}"
        " 00:00000000 00000000   101        0 19004 2 0000000000000000 0\n"
    )


UDP = (TITLES + socket(0, 0) + socket(0x100, 0x2300) + socket(0, 0) + socket(0, 1)).encode()


def test_queues_are_summed() -> None:
    """Hexadecimal bytes, transmit first."""
    assert parse_udp_queues(UDP) == UdpQueues(transmit_bytes=256, receive_bytes=8961)


@pytest.mark.parametrize("titles", [TITLES, TITLES6])
def test_no_sockets_is_nothing_queued(titles: str) -> None:
    """The titles alone."""
    assert parse_udp_queues(titles.encode()) == UdpQueues(0, 0)


def test_ipv6_has_wider_addresses() -> None:
    """The columns are the same; an address of zeros is not a queue of zeros."""
    buf = TITLES6 + socket(5, 6, "0" * 32) + socket(0, 0, "0" * 32)
    assert parse_udp_queues(buf.encode()) == UdpQueues(5, 6)


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1) | st.just(0))))
def test_the_sum_is_that_of_the_sockets(queues: list[tuple[int, int]]) -> None:
    """Whether or not some are empty."""
    buf = TITLES + "".join(socket(*queue) for queue in queues)
    assert parse_udp_queues(buf.encode()) == (sum(t for t, _ in queues), sum(r for _, r in queues))


@pytest.mark.parametrize(
    "buf",
    [
        b"",
        b"\n",
        UDP[:-1],
        UDP[: UDP.index(b"00000100:")] + b"\n",
        UDP.split(b"\n", 1)[1],
        UDP.replace(b"00000100:", b"00000100 "),
        UDP.replace(b"00000100:", b"0000010x:"),
    ],
)
def test_what_is_not_udp_is_malformed(buf: bytes) -> None:
    """Empty, cut, without titles, without queues, no number."""
    with pytest.raises(Malformed, match="net/udp"):
        parse_udp_queues(buf)


@given(
    st.binary()
    | st.builds(
        lambda at, junk, gone: UDP[:at] + junk + UDP[at + gone :],
        st.integers(0, len(UDP)),
        st.binary(max_size=8),
        st.integers(0, 200),
    )
)
def test_any_bytes_give_sums_or_malformed(buf: bytes) -> None:
    """No other exception escapes."""
    try:
        assert isinstance(parse_udp_queues(buf), UdpQueues)
    except Malformed:
        pass


def test_it_is_read_below_procfs(make_host: Callable[..., Host]) -> None:
    """And is gone without the file."""
    host = make_host({"proc/1/net/udp": UDP})
    assert read_udp_queues(host.procfs, host.net("udp")) == UdpQueues(256, 8961)
    with pytest.raises(Gone):
        read_udp_queues(host.procfs, host.net("udp6"))
