"""``/proc/net/softnet_stat``."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Gone, Malformed
from agent.sources.host import Host
from agent.sources.softnet import SoftnetCpu, parse_softnet, read_softnet


def line(*values: int) -> bytes:
    return b" ".join(b"%08x" % value for value in values) + b"\n"


SOFTNET = line(0xCA4, 1, 2, 0, 0, 0, 0, 0, 3, 4, 5, 6, 0, 7, 8) + line(0xFFFFFFFF, *(0,) * 11, 3, 0, 0)


def test_each_column_has_its_name() -> None:
    """Fifteen columns; the CPU's number is its own, not the line's."""
    assert parse_softnet(SOFTNET) == [
        SoftnetCpu(0, 3236, 1, 2, 3, 4, 5, 6),
        SoftnetCpu(3, 0xFFFFFFFF, 0, 0, 0, 0, 0, 0),
    ]


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (9, SoftnetCpu(1, 10, 11, 12, 18, None, None, None)),
        (10, SoftnetCpu(1, 10, 11, 12, 18, 19, None, None)),
        (11, SoftnetCpu(1, 10, 11, 12, 18, 19, 20, None)),
        (13, SoftnetCpu(22, 10, 11, 12, 18, 19, 20, 21)),
    ],
)
def test_older_kernels_tell_less(width: int, expected: SoftnetCpu) -> None:
    """What is not told is None, and the CPU is then that of the line."""
    values = range(10, 10 + width)
    assert parse_softnet(line(*values) + line(*values))[1] == expected


@pytest.mark.parametrize(
    "buf", [b"", b"\n", SOFTNET[:-1], SOFTNET[:-70], line(*range(8)), SOFTNET.replace(b"ca4", b"xyz")]
)
def test_what_is_not_softnet_is_malformed(buf: bytes) -> None:
    """Empty, cut, too few columns, no number."""
    with pytest.raises(Malformed, match="softnet"):
        parse_softnet(buf)


@given(
    st.binary()
    | st.builds(
        lambda at, junk, gone: SOFTNET[:at] + junk + SOFTNET[at + gone :],
        st.integers(0, len(SOFTNET)),
        st.binary(max_size=8),
        st.integers(0, 90),
    )
)
def test_any_bytes_give_cpus_or_malformed(buf: bytes) -> None:
    """No other exception escapes."""
    try:
        assert all(len(cpu) == 8 and isinstance(cpu.processed, int) for cpu in parse_softnet(buf))
    except Malformed:
        pass


@given(st.lists(st.lists(st.integers(0, 2**32 - 1), min_size=13, max_size=15), min_size=1))
def test_columns_written_read_back(cpus: list[list[int]]) -> None:
    """Parsing undoes writing."""
    parsed = parse_softnet(b"".join(line(*values) for values in cpus))
    assert parsed == [SoftnetCpu(v[12], v[0], v[1], v[2], v[8], v[9], v[10], v[11]) for v in cpus]


def test_it_is_read_below_procfs(make_host: Callable[..., Host]) -> None:
    """And is gone without the file."""
    host = make_host({"proc/1/net/softnet_stat": SOFTNET})
    assert [cpu.cpu for cpu in read_softnet(host.procfs, host.net("softnet_stat"))] == [0, 3]
    with pytest.raises(Gone):
        read_softnet(host.procfs, "net/softnet_stat")
