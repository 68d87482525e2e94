"""Batches of every kind for property tests, and the comparison that forgives nothing."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from hypothesis import strategies as st

from agent.model import Block, Family, Key, Value

FAMILIES = (
    Family("node_load1", "gauge", "1m load average."),
    Family("node_cpu_seconds_total", "counter", "Seconds.", ("cpu", "mode")),
    Family("node_vmstat_pgfault", "untyped", "Faults.", ("x",)),
    Family("http_request_duration_seconds", "histogram", "How long.", ("path",)),
    Family("rpc_duration_seconds", "summary", "How long.", ()),
)
FLOATS = st.one_of(
    st.floats(),
    st.sampled_from([0.0, -0.0, 5e-324, -2.2e-308, 1.7976931348623157e308, 1.5, 100.25, 1e22, 2.0**53, 2.0**63]),
    st.integers(-(10**9), 10**9).map(lambda n: n / 100),
    st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0]),
)
INTS = st.one_of(  # the kernel's: of 64 bits, with a sign or without
    st.integers(0, 9),
    st.integers(-(2**63), 2**64 - 1),
    st.sampled_from([2**53, 2**53 + 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1, -(2**62), -(2**63)]),
)
VALUES = st.one_of(FLOATS, INTS)
_TEXTS = st.sampled_from(["", "0", "1", "user", "é", 'a"b', "x\ny"])


@st.composite
def batches(draw: st.DrawFn) -> tuple[Block, ...]:
    """Some families in any order, each with some series."""
    chosen = draw(st.lists(st.sampled_from(FAMILIES), unique=True, max_size=5))
    return tuple(draw(blocks(family)) for family in chosen)


@st.composite
def blocks(draw: st.DrawFn, family: Family) -> Block:
    label = [_TEXTS] * len(family.labels)
    if family.type in ("histogram", "summary"):
        label = [st.sampled_from(["", "_bucket", "_sum", "_count"]), st.sampled_from(["", "0.5", "+Inf"]), *label]
    keys = tuple(draw(st.lists(st.tuples(*label), unique=True, min_size=1, max_size=4)))
    return Block(family, keys, draw(st.lists(VALUES, min_size=len(keys), max_size=len(keys))))


def exactly(blocks: Sequence[Block]) -> list[object]:
    """Families by what they say, values by their type and their bits."""
    return [
        (b.family.name, b.family.type, b.family.help, b.family.labels, tuple(b.keys), [bits(v) for v in b.values])
        for b in blocks
    ]


def bits(value: Value) -> object:
    return struct.pack("<d", value) if type(value) is float else (type(value), value)


def block(family: Family, samples: dict[Key, Value]) -> Block:
    return Block(family, tuple(samples), list(samples.values()))
