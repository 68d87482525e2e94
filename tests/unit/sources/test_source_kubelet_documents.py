"""What holds for every document of the kubelet, whatever its bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import Malformed
from agent.sources.kubelet.configz import parse_configz
from agent.sources.kubelet.document import field_int32, field_uint, parse_document
from agent.sources.kubelet.pods import parse_pods
from agent.sources.kubelet.summary import parse_summary
from tests.kubelet.bodies import body, said

Parser = Callable[[bytes], object]
PARSERS: dict[str, Parser] = {"pods": parse_pods, "stats_summary": parse_summary, "configz": parse_configz}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@pytest.mark.parametrize("parse", PARSERS.values())
@given(st.binary())
def test_any_bytes_are_a_document_or_malformed(parse: Parser, buf: bytes) -> None:
    """Nothing else is raised."""
    with pytest.raises(Malformed):
        parse(buf)


@pytest.mark.parametrize("name", PARSERS)
@given(st.data())
@settings(max_examples=60)
def test_any_field_may_hold_anything(name: str, data: st.DataObject) -> None:
    """A real body with one value replaced by another, or left out, is a document or Malformed."""
    document = said("idle", name)
    owner: Any = document
    while True:
        keys = list(range(len(owner))) if isinstance(owner, list) else sorted(owner)
        key = data.draw(st.sampled_from(keys))
        if not isinstance(owner[key], (dict, list)) or not owner[key] or data.draw(st.booleans()):
            break
        owner = owner[key]
    if data.draw(st.booleans()):
        del owner[key]
    else:
        owner[key] = data.draw(VALUES)
    try:
        PARSERS[name](json.dumps(document).encode())
    except Malformed:
        pass


@pytest.mark.parametrize("name", PARSERS)
@given(st.data())
@settings(max_examples=30)
def test_a_truncated_body_is_malformed(name: str, data: st.DataObject) -> None:
    """There is no half a document."""
    buf = body("idle", name).rstrip()
    with pytest.raises(Malformed, match="not JSON"):
        PARSERS[name](buf[: data.draw(st.integers(0, len(buf) - 1))])


@pytest.mark.parametrize(
    "buf", [b"", b"[]", b"null", b'"x"', b"{} {}", b'{"a": NaN}', b"[" * 100_000, b'{"a": 1e', b"\xff", b"9" * 5000]
)
def test_what_is_no_object_is_malformed(buf: bytes) -> None:
    """Also constants that JSON does not have, and nesting without an end."""
    with pytest.raises(Malformed):
        parse_document(buf, "pods")


@pytest.mark.parametrize(
    "metadata",
    [{"name": "\ud800"}, {"labels": {"a": "\udfff"}}, {"labels": {"\ud800": "a"}}],
    ids=["name", "label", "key"],
)
def test_half_a_character_is_malformed(metadata: dict[str, Any]) -> None:
    """JSON can spell what no UTF-8 can: as a label value it would cost the whole page."""
    item = {"metadata": {"namespace": "n", "name": "p", "uid": "u", **metadata}}
    with pytest.raises(Malformed, match="no Unicode"):
        parse_pods(json.dumps({"items": [item]}).encode())


@pytest.mark.parametrize("value", [-1, 1 << 64, 1.0, True, "1", [], {}])
def test_an_unsigned_number_is_one(value: object) -> None:
    """A number that Go could not have written there is Malformed; an absent one is None."""
    with pytest.raises(Malformed, match="usedBytes: an unsigned number"):
        field_uint({"usedBytes": value}, "usedBytes")
    assert field_uint({}, "usedBytes") is None
    assert field_uint({"usedBytes": (1 << 64) - 1}, "usedBytes") == (1 << 64) - 1


@pytest.mark.parametrize(("value", "fits"), [(-(1 << 31), True), ((1 << 31) - 1, True), (1 << 31, False)])
def test_a_signed_number_has_32_bits(value: int, fits: bool) -> None:
    """Priorities and exit codes."""
    if fits:
        assert field_int32({"priority": value}, "priority") == value
    else:
        with pytest.raises(Malformed):
            field_int32({"priority": value}, "priority")
