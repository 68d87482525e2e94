"""``/proc/net/dev`` and ``class/net/<device>/statistics``."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Gone, Malformed
from agent.sources.host import Host
from agent.sources.net_dev import (
    Statistics,
    Traffic,
    parse_net_dev,
    read_net_dev,
    read_statistic,
    read_statistics,
)

TITLES = b"""\
Inter-|   Receive                                                |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
"""
NET_DEV = (
    TITLES
    + b"""\
    lo:  144009     137    0    0    0     0          0         0   144009     137    0    0    0     0       0     0
  eth0: 120288824    3187    1    2    3     4        5         6   179967    1939    7    8    9    10      11    12
"""
)
ETH0 = Traffic("eth0", 120288824, 3187, 1, 2, 3, 4, 5, 6, 179967, 1939, 7, 8, 9, 10, 11, 12)


def test_each_column_has_its_name() -> None:
    """Eight received, eight transmitted, in the kernel's order."""
    lo, eth0 = parse_net_dev(NET_DEV)
    assert eth0 == ETH0
    assert (lo.device, lo.receive_bytes, lo.transmit_compressed) == ("lo", 144009, 0)


def test_no_devices_is_an_empty_list() -> None:
    """A namespace may have none."""
    assert parse_net_dev(TITLES) == []


def test_a_number_may_touch_the_name() -> None:
    """Old kernels leave no blank between them."""
    line = b"eth0:" + b" ".join(b"%d" % 2**63 for _ in range(16)) + b"\n"
    assert parse_net_dev(TITLES + line) == [Traffic("eth0", *(2**63,) * 16)]


def test_a_name_is_any_bytes() -> None:
    """The kernel takes nearly any name; it comes back as Python spells such file names."""
    line = b"v\xffth: " + b" ".join([b"0"] * 16) + b"\n"
    assert parse_net_dev(TITLES + line)[0].device == "v\udcffth"


@pytest.mark.parametrize(
    "buf",
    [
        b"",
        NET_DEV[:-1],
        NET_DEV[:-40],
        NET_DEV[:-40] + b"\n",
        NET_DEV.split(b"\n", 1)[1],
        TITLES + b"no colon\n",
        TITLES + b" : " + b"0 " * 16 + b"\n",
        TITLES + b"../x: " + b"0 " * 16 + b"\n",
        TITLES + b"a\0b: " + b"0 " * 16 + b"\n",
        NET_DEV.replace(b"3187", b"many"),
    ],
)
def test_what_is_not_net_dev_is_malformed(buf: bytes) -> None:
    """Empty, cut anywhere, without titles, without a name, a name that leads elsewhere, without numbers."""
    with pytest.raises(Malformed, match="net/dev"):
        parse_net_dev(buf)


@given(
    st.binary()
    | st.builds(
        lambda at, junk, gone: NET_DEV[:at] + junk + NET_DEV[at + gone :],
        st.integers(0, len(NET_DEV)),
        st.binary(max_size=8),
        st.integers(0, 200),
    )
)
def test_any_bytes_give_devices_or_malformed(buf: bytes) -> None:
    """No other exception escapes."""
    try:
        assert all(line.device and len(line) == 17 for line in parse_net_dev(buf))
    except Malformed:
        pass


def test_it_is_read_below_procfs(make_host: Callable[..., Host]) -> None:
    """From the node's network namespace where it is known."""
    host = make_host({"proc/1/net/dev": NET_DEV, "proc/net/dev": TITLES})
    assert read_net_dev(host.procfs, host.net("dev"))[1] == ETH0


def test_statistics_are_one_file_each(make_host: Callable[..., Host]) -> None:
    """Every field is the file of its name; one that this kernel lacks is None."""
    files = {f"sys/class/net/eth0/statistics/{name}": f"{n}\n" for n, name in enumerate(Statistics._fields)}
    del files["sys/class/net/eth0/statistics/rx_nohandler"]
    statistics = read_statistics(make_host(files).sysfs, "eth0")
    assert statistics[:-1] == tuple(range(23))
    assert statistics.rx_nohandler is None


def test_one_statistic_is_a_number_or_none(make_host: Callable[..., Host]) -> None:
    """None is not 0."""
    directory = "sys/class/net/eth0/statistics"
    host = make_host({f"{directory}/rx_nohandler": "0\n", f"{directory}/rx_bytes": "many\n"})
    assert read_statistic(host.sysfs, "eth0", "rx_nohandler") == 0
    assert read_statistic(host.sysfs, "eth1", "rx_nohandler") is None
    with pytest.raises(Malformed, match="eth0/statistics/rx_bytes"):
        read_statistic(host.sysfs, "eth0", "rx_bytes")


def test_a_device_without_any_statistics_is_gone(make_host: Callable[..., Host]) -> None:
    """It vanished."""
    with pytest.raises(Gone, match="eth0"):
        read_statistics(make_host({}).sysfs, "eth0")
