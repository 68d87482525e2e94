"""A YAML document as the JSON that it stands for, in bounded memory, whatever the bytes are.

Shape: YAML 1.1, of which the first document counts; an object with texts for names. Errors: Malformed.
It is built from the parser's events and not by its constructor: nesting that would overflow the stack of the C parser
ends at a bound, an alias counts as often as it is used, and no tag makes an object. Merge keys (``<<``) are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from agent.errors import Malformed
from agent.sources.kubelet.document import Json

NODES_MAX: Final = 10_000  # a whole KubeletConfiguration has less than 300
DEPTH_MAX: Final = 50
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE: Final = frozenset({"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y"})
_FALSE: Final = frozenset({"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N"})
_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9]\d{0,30})", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)


def parse_yaml(buf: bytes, path: str) -> Json:
    """Shape: ``{"name": value}``. Raises Malformed."""
    import yaml  # only where there is such a file

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # it may be built without libyaml
    try:
        document = _Builder(path).build(yaml.parse(buf.decode("utf-8-sig"), Loader=loader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # UnicodeDecodeError too
        raise Malformed(path, "not YAML", " ".join(str(error).split())) from None
    if not isinstance(document, dict):
        raise Malformed(path, "a YAML object expected")
    return document


class _Open:
    """A collection whose end has not come yet. ``name`` is that of the value which comes next."""

    __slots__ = ("anchor", "name", "named", "nodes_before", "value")

    def __init__(self, value: dict[str, Any] | list[Any], anchor: str | None, nodes_before: int) -> None:
        self.value = value
        self.anchor = anchor
        self.nodes_before = nodes_before
        self.name = ""
        self.named = False


class _Builder:
    """Puts the values of one document together."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}  # the value, and how many nodes it has
        self._nodes = 0
        self._document: Any = None

    def build(self, events: Iterable[Any]) -> Any:
        for event in events:
            kind = type(event).__name__
            if kind == "DocumentEndEvent":
                break
            if kind == "ScalarEvent":
                self._scalar(event)
            elif kind == "AliasEvent":
                self._alias(event.anchor)
            elif kind in ("MappingStartEvent", "SequenceStartEvent"):
                self._start({} if kind == "MappingStartEvent" else [], event.anchor)
            elif kind in ("MappingEndEvent", "SequenceEndEvent"):
                self._end()
        return self._document

    def _scalar(self, event: Any) -> None:
        owner = self._open[-1] if self._open else None
        is_name = owner is not None and isinstance(owner.value, dict) and not owner.named
        value = resolve(event.value) if event.implicit[0] and not is_name else event.value  # quoted and tagged: text
        if event.anchor:
            self._anchors[event.anchor] = (value, 1)
        self._add(value, 1)

    def _alias(self, anchor: str) -> None:
        """Known only from its end on, so that nothing is part of itself."""
        if anchor not in self._anchors:
            raise Malformed(self._path, "an alias without its anchor", anchor)
        self._add(*self._anchors[anchor])

    def _start(self, value: dict[str, Any] | list[Any], anchor: str | None) -> None:
        if len(self._open) >= DEPTH_MAX:
            raise Malformed(self._path, f"nested deeper than {DEPTH_MAX}")
        nodes_before = self._nodes
        self._add(value, 1)
        self._open.append(_Open(value, anchor, nodes_before))

    def _end(self) -> None:
        done = self._open.pop()
        if done.anchor:
            self._anchors[done.anchor] = (done.value, self._nodes - done.nodes_before)

    def _add(self, value: Any, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > NODES_MAX:
            raise Malformed(self._path, f"more than {NODES_MAX} values")
        if not self._open:
            self._document = value
            return
        owner = self._open[-1]
        if isinstance(owner.value, list):
            owner.value.append(value)
        elif owner.named:
            owner.value[owner.name] = value
            owner.named = False
        elif not isinstance(value, str) or value == "<<":
            raise Malformed(self._path, "a text for a name expected", repr(value)[:100])
        else:
            owner.name, owner.named = value, True


def resolve(text: str) -> Any:
    """What an unquoted scalar means. Numbers of other bases stay texts: no setting is written like that."""
    if text in _NULLS:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
