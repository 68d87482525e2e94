"""A JSON document as Go writes it: ``null`` and an empty object mean that nothing was said.

Every reader of a field gives None, or the empty value of its type, for an absent one, and raises Malformed for one
of another type. Units are in the fields' own names. Texts are kept once: a document repeats itself, and the next one
says nearly all of it again.
"""

from __future__ import annotations

from sys import intern
from typing import Any, Final, NoReturn

from agent.errors import Malformed

Json = dict[str, Any]
UINT64_MAX: Final = (1 << 64) - 1
INT32_MAX: Final = (1 << 31) - 1


def parse_document(buf: bytes, path: str) -> Json:
    """The object that a body is. Raises Malformed, whatever the bytes are."""
    import json  # only with a kubelet

    try:
        document = json.loads(buf, parse_constant=refused)
    except (ValueError, RecursionError) as error:
        raise Malformed(path, f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise Malformed(path, "a JSON object expected")
    return document


def refused(constant: str) -> NoReturn:
    """For NaN and the infinities, which the standard library would take."""
    raise ValueError(f"{constant} is not JSON")


def field_object(owner: Json, name: str) -> Json:
    value = owner.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed(name, "an object expected", repr(value))
    return value


def field_objects(owner: Json, name: str) -> list[Json]:
    value = owner.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Malformed(name, "a list of objects expected", repr(value))
    return value


def field_text(owner: Json, name: str) -> str:
    value = owner.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Malformed(name, "text expected", repr(value))
    return _kept(name, value)


def required_text(owner: Json, name: str) -> str:
    value = field_text(owner, name)
    if not value:
        raise Malformed(name, "missing")
    return value


def field_bool(owner: Json, name: str) -> bool:
    """Go leaves a false one out."""
    value = owner.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise Malformed(name, "true or false expected", repr(value))
    return value


def field_uint(owner: Json, name: str) -> int | None:
    value = owner.get(name)
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= UINT64_MAX:
        raise Malformed(name, "an unsigned number of 64 bits expected", repr(value))
    return value


def field_int32(owner: Json, name: str) -> int | None:
    value = owner.get(name)
    if value is None:
        return None
    if type(value) is not int or not -INT32_MAX <= value + 1 <= INT32_MAX + 1:
        raise Malformed(name, "a number of 32 bits expected", repr(value))
    return value


def field_texts(owner: Json, name: str) -> dict[str, str]:
    """An object whose values are texts: labels, annotations, thresholds."""
    texts = field_object(owner, name)
    if not all(isinstance(value, str) for value in texts.values()):
        raise Malformed(name, "texts expected", repr(texts))
    return {_kept(name, key): _kept(name, text) for key, text in texts.items()}


def _kept(name: str, text: str) -> str:
    """Once for all that say the same. JSON can spell half a character, which nobody could write out again."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Malformed(name, "no Unicode", ascii(text)) from None
    return intern(text)
