"""A scrape as data: families with type and HELP, samples by series. Read by prometheus_client's parser."""

from __future__ import annotations

import re
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

_META = re.compile(r"^# (HELP|TYPE) (\S+)(?: (.*))?$", re.MULTILINE)


class Scrape(NamedTuple):
    """``samples`` by series text with sorted labels; ``types`` and ``helps`` by family; ``family`` by series."""

    samples: dict[str, float]
    family: dict[str, str]
    types: dict[str, str]
    helps: dict[str, str]


def parse(body: bytes) -> Scrape:
    """The text format. The parser renames counters, so names, types and HELP are taken from the comment lines."""
    text = body.decode()
    types, helps = {}, {}
    for word, name, rest in _META.findall(text):
        (types if word == "TYPE" else helps)[name] = rest
    samples, family = {}, {}
    for metric in text_string_to_metric_families(text):
        for sample in metric.samples:
            name = series(sample.name, sample.labels)
            assert name not in samples, f"twice: {name}"
            samples[name] = sample.value
            family[name] = sample.name if sample.name in types else _base(sample.name, types)
    return Scrape(samples, family, types, helps)


def series(name: str, labels: dict[str, str]) -> str:
    pairs = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{pairs}}}" if pairs else name


def _base(name: str, types: dict[str, str]) -> str:
    for suffix in ("_bucket", "_sum", "_count"):
        base = name.removesuffix(suffix)
        if base != name and types.get(base) in ("histogram", "summary"):
            return base
    return name
