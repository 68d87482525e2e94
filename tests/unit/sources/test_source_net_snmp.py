"""``/proc/net/snmp``, ``netstat`` and ``snmp6``."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Gone, Malformed
from agent.sources.host import Host
from agent.sources.net_snmp import Name, Snmp6Table, SnmpTable

SNMP = b"""\
Ip: Forwarding DefaultTTL InReceives
Ip: 2 64 3317
IcmpMsg: InType3
IcmpMsg: 1
Tcp: RtoAlgorithm MaxConn ActiveOpens InSegs
Tcp: 1 -1 32 18446744073709551615
"""
SNMP6 = b"""\
Ip6InReceives                   \t1
Icmp6InMsgs                     \t2
Icmp6OutType133                 \t3
UdpLite6InErrors                \t4
NoProtocolHere                  \t5
"""
WANTED = {("Ip", "Forwarding"), ("Tcp", "MaxConn"), ("Tcp", "InSegs"), ("Icmp6", "InMsgs"), ("UdpLite6", "InErrors")}
Table = type[SnmpTable] | type[Snmp6Table]


def wanted(name: Name) -> bool:
    return name in WANTED


def everything(name: Name) -> bool:
    return True


def test_wanted_fields_have_their_values() -> None:
    """Negative and 64-bit values included."""
    names, values = SnmpTable(wanted).parse(SNMP)
    assert dict(zip(names, values, strict=True)) == {
        ("Ip", "Forwarding"): 2,
        ("Tcp", "MaxConn"): -1,
        ("Tcp", "InSegs"): 2**64 - 1,
    }


def test_every_field_can_be_wanted() -> None:
    """In the kernel's order."""
    names, values = SnmpTable(everything).parse(SNMP)
    assert values == [2, 64, 3317, 1, 1, -1, 32, 2**64 - 1]
    assert names[3:5] == (("IcmpMsg", "InType3"), ("Tcp", "RtoAlgorithm"))


def test_snmp6_splits_the_protocol_from_the_field() -> None:
    """After the 6; what has none is skipped."""
    names, values = Snmp6Table(everything).parse(SNMP6)
    assert dict(zip(names, values, strict=True)) == {
        ("Ip6", "InReceives"): 1,
        ("Icmp6", "InMsgs"): 2,
        ("Icmp6", "OutType133"): 3,
        ("UdpLite6", "InErrors"): 4,
    }
    assert Snmp6Table(wanted).parse(SNMP6) == ((("Icmp6", "InMsgs"), ("UdpLite6", "InErrors")), [2, 4])


@pytest.mark.parametrize(("table", "buf"), [(SnmpTable, SNMP), (Snmp6Table, SNMP6)])
def test_names_are_the_same_object_while_the_columns_are(table: Table, buf: bytes) -> None:
    """Whoever keeps something by name need not look again."""
    reader = table(wanted)
    first, second = reader.parse(buf), reader.parse(buf.replace(b"2", b"7"))
    assert second.names is first.names
    assert second.values != first.values


def test_columns_may_change_between_two_readings() -> None:
    """IcmpMsg gets a column when the first message of a type comes; no value may slip below another title."""
    table = SnmpTable(everything)
    table.parse(SNMP)
    changed = SNMP.replace(b"IcmpMsg: InType3\nIcmpMsg: 1", b"IcmpMsg: InType0 InType3\nIcmpMsg: 9 8")
    names, values = table.parse(changed)
    assert dict(zip(names, values, strict=True))["IcmpMsg", "InType3"] == 8
    swapped = SNMP.replace(b"Forwarding DefaultTTL", b"DefaultTTL Forwarding")
    names, values = table.parse(swapped)
    assert dict(zip(names, values, strict=True))["Ip", "Forwarding"] == 64


def test_lines_may_come_between_two_readings() -> None:
    """snmp6 gets a line when the first message of a type comes."""
    table = Snmp6Table(wanted)
    table.parse(SNMP6)
    assert table.parse(b"Icmp6InType1 \t9\n" + SNMP6).values == [2, 4]


@pytest.mark.parametrize(
    "buf",
    [
        b"",
        SNMP[:-1],
        SNMP[: SNMP.rindex(b"Tcp:")],
        SNMP.replace(b"Ip: 2 64", b"Ip: 2"),
        SNMP.replace(b"Ip: 2", b"Tcp: 2"),
        SNMP.replace(b"Ip: 2", b"Ip: two"),
        SNMP.replace(b"Forwarding", b"For-warding"),
        SNMP.replace(b"Forwarding", b"Forw\xe4rding"),
    ],
)
def test_what_is_not_a_table_is_malformed(buf: bytes) -> None:
    """Empty, cut, a value too few, values of another protocol, no number, a name that no metric may have."""
    with pytest.raises(Malformed, match="net/snmp"):
        SnmpTable(everything).parse(buf)


@pytest.mark.parametrize(
    "buf",
    [b"", SNMP6[:-1], SNMP6[:-2], SNMP6.replace(b"\t2", b""), SNMP6.replace(b"\t2", b"\ttwo"), b"Ip6In-Octets 1\n"],
)
def test_what_is_not_snmp6_is_malformed(buf: bytes) -> None:
    """Empty, cut, a value missing, no number, a name that no metric may have."""
    with pytest.raises(Malformed, match="net/snmp"):
        Snmp6Table(everything).parse(buf)


def test_only_what_is_wanted_is_looked_at() -> None:
    """A value that nobody asked for need not be a number."""
    assert SnmpTable(wanted).parse(SNMP.replace(b" 64 ", b" x ")).values == [2, -1, 2**64 - 1]


@pytest.mark.parametrize(("table", "sample"), [(SnmpTable, SNMP), (Snmp6Table, SNMP6)])
@given(data=st.data())
def test_any_bytes_give_values_or_malformed_and_harm_no_later_reading(
    table: Table, sample: bytes, data: st.DataObject
) -> None:
    """No other exception escapes, and what was learnt from garbage is unlearnt."""
    at = data.draw(st.integers(0, len(sample)))
    garbage = sample[:at] + data.draw(st.binary(max_size=8)) + sample[at + data.draw(st.integers(0, 60)) :]
    reader = table(everything)
    for buf in (data.draw(st.just(garbage) | st.binary()), sample):
        try:
            names, values = reader.parse(buf)
            assert len(names) == len(values)
        except Malformed:
            assert buf != sample
    assert reader.parse(sample) == table(everything).parse(sample)


@given(st.dictionaries(st.from_regex(r"[A-Z][a-zA-Z0-9]{0,9}", fullmatch=True), st.integers(-1, 2**64 - 1), min_size=1))
def test_a_table_written_reads_back(fields: dict[str, int]) -> None:
    """Parsing undoes writing."""
    buf = f"P: {' '.join(fields)}\nP: {' '.join(map(str, fields.values()))}\n".encode()
    names, values = SnmpTable(everything).parse(buf)
    assert {field: value for (_, field), value in zip(names, values, strict=True)} == fields


def test_it_is_read_below_procfs(make_host: Callable[..., Host]) -> None:
    """And is gone without the file."""
    host = make_host({"proc/1/net/snmp": SNMP, "proc/1/net/snmp6": SNMP6})
    assert SnmpTable(wanted).read(host.procfs, host.net("snmp")).values == [2, -1, 2**64 - 1]
    assert Snmp6Table(wanted).read(host.procfs, host.net("snmp6")).values == [2, 4]
    with pytest.raises(Gone):
        SnmpTable(wanted).read(host.procfs, host.net("netstat"))
