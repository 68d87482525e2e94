"""One declared setting, and how text becomes its value."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

from agent.errors import ConfigError

Kind = Literal["text", "bool", "int", "bytes", "seconds", "regexp", "list"]

_UNITS: Final = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
_TRUTH: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_DURATIONS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Setting(NamedTuple):
    """``key`` is its place in a TOML file (``path.procfs`` is ``procfs`` in ``[path]``).

    The flag is ``--`` + key and the environment variable HEADROOM_ + key in capitals, ``.`` and ``-`` as ``_``.
    A list is given once per item as a flag, as an array in TOML and comma separated in the environment.
    """

    key: str
    kind: Kind
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    flag_key: str = ""

    @property
    def flag(self) -> str:
        return "--" + (self.flag_key or self.key)

    @property
    def variable(self) -> str:
        return "HEADROOM_" + re.sub(r"[.-]", "_", self.key).upper()

    def parse(self, given: object, where: str) -> Any:
        """The value from text, or from what TOML gives. Raises ConfigError that names ``where``."""
        try:
            value = _PARSERS[self.kind](given)
        except (ValueError, TypeError, OverflowError) as error:
            raise ConfigError(f"{where}: {given!r} is not {_EXPECTED[self.kind]} ({error})") from None
        if self.choices and value not in self.choices:
            raise ConfigError(f"{where}: {given!r} is not one of {', '.join(self.choices)}")
        return value


def _text(given: object) -> str:
    if not isinstance(given, str):
        raise TypeError(f"a {type(given).__name__}")
    if any("\udc80" <= character <= "\udcff" for character in given):
        raise ValueError("not UTF-8")
    return given


def _bool(given: object) -> bool:
    if isinstance(given, bool):
        return given
    text = _text(given).lower()
    if text not in _TRUTH:
        raise ValueError("true or false")
    return _TRUTH[text]


def _int(given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, (int, str)):
        raise TypeError(f"a {type(given).__name__}")
    return int(given)


def _bytes(given: object) -> int:
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    match = re.fullmatch(r"(\d+)\s*(|[KMG]i?)B?", _text(given))
    if not match:
        raise ValueError("such as 64MiB")
    return int(match[1]) * _UNITS[match[2]]


def _seconds(given: object) -> float:
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        value = float(given)
    else:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)", _text(given))
        if not match:
            raise ValueError("such as 2s, 500ms or 1m")
        value = float(match[1]) * _DURATIONS[match[2] or "s"]
    if not 0 <= value < 1e9:
        raise ValueError("not negative, and less than 30 years")
    return value


def _regexp(given: object) -> str:
    text = _text(given)
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(str(error)) from None
    return text


def _list(given: object) -> tuple[str, ...]:
    items = given if isinstance(given, (list, tuple)) else _text(given).split(",")
    return tuple(_text(item).strip() for item in items if _text(item).strip())


_PARSERS: Final[dict[Kind, Callable[[object], Any]]] = {
    "text": _text,
    "bool": _bool,
    "int": _int,
    "bytes": _bytes,
    "seconds": _seconds,
    "regexp": _regexp,
    "list": _list,
}
_EXPECTED: Final[dict[Kind, str]] = {
    "text": "text",
    "bool": "true or false",
    "int": "a whole number",
    "bytes": "a size",
    "seconds": "a duration",
    "regexp": "a regular expression",
    "list": "a list of texts",
}
