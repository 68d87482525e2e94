"""``/proc/net/sockstat`` and ``sockstat6``."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Gone, Malformed
from agent.sources.host import Host
from agent.sources.sockstat import parse_sockstat, read_sockstat

SOCKSTAT = b"""\
sockets: used 15
TCP: inuse 2 orphan 0 tw 3 alloc 4 mem 257
UDP: inuse 1 mem 0
FRAG: inuse 0 memory 8
"""


def test_numbers_are_by_protocol_and_state() -> None:
    """The sum of all sockets among them."""
    assert parse_sockstat(SOCKSTAT) == {
        "sockets": {"used": 15},
        "TCP": {"inuse": 2, "orphan": 0, "tw": 3, "alloc": 4, "mem": 257},
        "UDP": {"inuse": 1, "mem": 0},
        "FRAG": {"inuse": 0, "memory": 8},
    }


@pytest.mark.parametrize(
    "buf",
    [
        b"",
        b"\n",
        SOCKSTAT[:-1],
        b"TCP:\n",
        b"TCP: inuse\n",
        b"TCP: inuse 1 orphan\n",
        b"TCP: inuse x\n",
        b"TCP inuse 1\n",
        b"T-P: inuse 1\n",
        b"T\xffP: inuse 1\n",
    ],
)
def test_what_is_not_sockstat_is_malformed(buf: bytes) -> None:
    """Empty, cut, a state without its number, no number, a name that no metric may have."""
    with pytest.raises(Malformed, match="sockstat"):
        parse_sockstat(buf)


@given(
    st.binary()
    | st.builds(
        lambda at, junk, gone: SOCKSTAT[:at] + junk + SOCKSTAT[at + gone :],
        st.integers(0, len(SOCKSTAT)),
        st.binary(max_size=8),
        st.integers(0, 40),
    )
)
def test_any_bytes_give_numbers_or_malformed(buf: bytes) -> None:
    """No other exception escapes, and every name can be part of a metric's."""
    try:
        for protocol, states in parse_sockstat(buf).items():
            assert protocol.isidentifier()
            assert states
    except Malformed:
        pass


def test_it_is_read_below_procfs(make_host: Callable[..., Host]) -> None:
    """And is gone without the file."""
    host = make_host({"proc/1/net/sockstat6": "TCP6: inuse 7\n"})
    assert read_sockstat(host.procfs, host.net("sockstat6")) == {"TCP6": {"inuse": 7}}
    with pytest.raises(Gone):
        read_sockstat(host.procfs, host.net("sockstat"))
