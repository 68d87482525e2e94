"""Objects with one long list."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Malformed
from agent.sources.kubelet.document import Json
from agent.sources.kubelet.listing import parse_listing

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ELEMENTS = st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=3), max_size=4)


def read(buf: bytes) -> tuple[Json, tuple[Json, ...]]:
    return parse_listing(buf, "pods", "items", lambda element: element)


@given(st.dictionaries(st.text(max_size=5), VALUES), ELEMENTS, st.none() | st.integers(0, 3))
def test_it_reads_what_the_standard_library_reads(rest: Json, items: list[Json], indent: int | None) -> None:
    """Wherever the list is, and whatever is around it."""
    rest.pop("items", None)
    text = json.dumps({**rest, "items": items, "z": rest}, indent=indent)
    assert read(f" {text}\n".encode()) == ({**rest, "z": rest}, tuple(items))


@given(st.text() | st.lists(st.sampled_from('{}[]:," \n1') | st.just('"items"')).map("".join) | st.binary())
def test_it_refuses_what_the_standard_library_refuses(given: str | bytes) -> None:
    """Any bytes are an object or Malformed, and an object only where they are one."""
    buf = given.encode("utf-8", "replace") if isinstance(given, str) else given
    try:
        rest, _ = read(buf)
    except Malformed:
        return
    assert set(json.loads(buf)) - {"items"} == set(rest)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"items": [{}, 1]}', "a list of objects expected"),
        ('{"items": {}}', "a list of objects expected"),
        ('{"items": 0}', "a list of objects expected"),
        ('{"items": [{},]}', "nothing after a comma"),
        ('{"items": [{}],}', "nothing after a comma"),
        ('{"items": [{} {}]}', "',' expected at character 14"),
        ('{"items": []} x', "more at character 14"),
        ('{"items": [', "not JSON"),
        ('{"items" []}', "':' expected"),
        ("{1: 2}", "a key expected"),
        ('{"a": NaN}', "NaN is not JSON"),
        ("[]", "'{' expected"),
        ("", "'{' expected"),
    ],
)
def test_what_is_malformed(text: str, said: str) -> None:
    """And where."""
    with pytest.raises(Malformed, match=said):
        read(text.encode())


def test_no_list_is_an_empty_one() -> None:
    """So Go writes one without elements."""
    assert read(b'{"items": null, "kind": "PodList"}') == ({"kind": "PodList"}, ())
    assert read(b'{"kind": "PodList"}') == ({"kind": "PodList"}, ())
