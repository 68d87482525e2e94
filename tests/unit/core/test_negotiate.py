"""What a scraper asked for."""

from __future__ import annotations

import pytest

from agent.exposition.negotiate import accepts_gzip, choose_format

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "format"),
    [
        ("", "text"),
        ("*/*", "text"),
        (PROMETHEUS_2, "openmetrics"),
        (PROMETHEUS_3, "openmetrics"),
        ("text/plain;version=0.0.4", "text"),
        ("application/openmetrics-text; version=1.0.0; q=0.1, text/plain; q=0.9", "text"),
        ("application/openmetrics-text;version=2.0.0", "text"),
        ("application/openmetrics-text;q=nonsense", "text"),
        ("application/json", "text"),
        (",;=,;;q", "text"),
    ],
)
def test_the_format_with_the_highest_quality_wins(accept: str, format: str) -> None:
    """Accept headers of real scrapers, and nonsense, choose the format they should."""
    assert choose_format(accept) == format


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("", False),
        ("deflate, gzip;q=0.5", True),
        ("*", True),
        ("*;q=1, gzip;q=0", False),
        ("br", False),
    ],
)
def test_gzip_only_where_it_is_welcome(header: str, accepted: bool) -> None:
    """gzip is used only for those who accept it."""
    assert accepts_gzip(header) is accepted
