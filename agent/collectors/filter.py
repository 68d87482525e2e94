"""Which names a collector reports: the include and exclude regexps that node_exporter has too."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from agent.collectors import CATALOG, exclusive

VERDICTS_MAX: Final = 4096


class Filter:
    """A name is wanted when ``include`` finds something in it and ``exclude`` does not. An empty regexp is none.

    Verdicts are remembered: a regexp costs ten times a look into a dict. Threads: a race costs one regexp more.
    """

    __slots__ = ("_exclude", "_include", "_verdicts")

    def __init__(self, include: str, exclude: str) -> None:
        self._include = re.compile(include) if include else None
        self._exclude = re.compile(exclude) if exclude else None
        self._verdicts: dict[str, bool] = {}

    def wanted(self, name: str) -> bool:
        verdict = self._verdicts.get(name)
        if verdict is None:
            if len(self._verdicts) >= VERDICTS_MAX:  # mount points of pods come and go under ever new names
                self._verdicts.clear()
            verdict = self._verdicts[name] = self._judge(name)
        return verdict

    def _judge(self, name: str) -> bool:
        if self._exclude is not None and self._exclude.search(name):
            return False
        return self._include is None or self._include.search(name) is not None


def filter_of(collector: str, options: Mapping[str, Any], include: str, exclude: str) -> Filter:
    """The filter that two options make. An include takes the place of the default exclude.

    Raises ConfigError when both are given.
    """
    excluded = options[exclude]
    if options[include] and excluded == _default(collector, exclude):
        excluded = ""
    exclusive(collector, {include: options[include], exclude: excluded}, include, exclude)
    return Filter(options[include], excluded)


def _default(collector: str, option: str) -> Any:
    key = f"collector.{collector}.{option}"
    return next(setting.default for entry in CATALOG for setting in entry.settings if setting.key == key)
