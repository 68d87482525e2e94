"""docs/metrics.md says what the code declares."""

from __future__ import annotations

from agent.collectors import CATALOG
from tests.tools import differences
from tests.tools.metrics_page import PAGE, page


def test_the_page_is_what_the_code_declares() -> None:
    """``make docs`` would not change it."""
    assert PAGE.read_text().splitlines() == page().splitlines()


def test_the_page_has_everything() -> None:
    """Every collector, its families and flags, and every difference with its reason."""
    text = PAGE.read_text()
    for entry in CATALOG:
        assert f"`{entry.name}`" in text if entry.place else f"### {entry.name}" in text
        assert all(f"`{setting.flag}`" in text for setting in entry.settings)
        names = {family.name for family in entry.load().families} - {"{}"}
        assert all(f"`{name.replace('{}', '<field>')}`" in text for name in names)
    for one in (*differences.read()[0], *differences.read()[1]):
        assert all(f"`{pattern}`" in text for pattern in one.series)
        assert one.reason in text
