"""Which format and which encoding a scraper asked for, from its Accept and Accept-Encoding headers."""

from __future__ import annotations

from typing import Final, Literal

Format = Literal["text", "openmetrics"]

CONTENT_TYPES: Final[dict[Format, str]] = {
    "text": "text/plain; version=0.0.4; charset=utf-8",
    "openmetrics": "application/openmetrics-text; version=1.0.0; charset=utf-8",
}


def choose_format(accept: str) -> Format:
    """The format with the highest quality among those we write; text 0.0.4 for whoever does not say."""
    best: tuple[float, Format] = (0.0, "text")
    for media, params in _weighted(accept):
        quality = _quality(params)
        if media == "application/openmetrics-text" and params.get("version", "1.0.0") in ("1.0.0", "0.0.1"):
            offered: Format = "openmetrics"
        elif media in ("text/plain", "text/*", "*/*") and params.get("version", "0.0.4") == "0.0.4":
            offered = "text"
        else:
            continue
        if quality > best[0]:
            best = (quality, offered)
    return best[1]


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether gzip is among the encodings with a quality above zero. ``gzip;q=0`` forbids what ``*`` allows."""
    weights = {coding: _quality(params) for coding, params in _weighted(accept_encoding)}
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def _weighted(header: str) -> list[tuple[str, dict[str, str]]]:
    entries = []
    for item in header.split(","):
        value, *rest = item.split(";")
        params = {}
        for param in rest:
            name, _, text = param.partition("=")
            params[name.strip().lower()] = text.strip().strip('"')
        if value.strip():
            entries.append((value.strip().lower(), params))
    return entries


def _quality(params: dict[str, str]) -> float:
    try:
        quality = float(params.get("q", "1"))
    except ValueError:
        return 0.0
    return quality if 0.0 <= quality <= 1.0 else 0.0
