"""Include and exclude regexps of collectors."""

from __future__ import annotations

import pytest

from agent.collectors import CATALOG
from agent.collectors.filter import VERDICTS_MAX, Filter, filter_of
from agent.errors import ConfigError

DEFAULT = next(
    setting.default
    for entry in CATALOG
    for setting in entry.settings
    if setting.key.endswith("diskstats.device-exclude")
)


@pytest.mark.parametrize(
    ("include", "exclude", "wanted"),
    [
        ("", "", {"sda", "sdb", "nvme0n1"}),
        ("sd", "", {"sda", "sdb"}),
        ("", "sd", {"nvme0n1"}),
        ("^da$", "", set()),
        ("sd", "b$", {"sda"}),
    ],
)
def test_a_name_is_wanted_when_included_and_not_excluded(include: str, exclude: str, wanted: set[str]) -> None:
    """Regexps find themselves anywhere in a name, as Go's do."""
    filter = Filter(include, exclude)
    for _ in range(2):
        assert {name for name in ("sda", "sdb", "nvme0n1") if filter.wanted(name)} == wanted


def test_remembered_verdicts_are_bounded() -> None:
    """Names without end do not take memory without end, and are judged right all the same."""
    filter = Filter("7$", "")
    assert sum(filter.wanted(str(n)) for n in range(3 * VERDICTS_MAX)) == sum(
        n % 10 == 7 for n in range(3 * VERDICTS_MAX)
    )
    assert len(filter._verdicts) <= VERDICTS_MAX


def test_an_include_takes_the_place_of_the_default_exclude() -> None:
    """Of that only; without it the default holds."""
    options = {"device-include": "", "device-exclude": DEFAULT}
    assert not filter_of("diskstats", options, "device-include", "device-exclude").wanted("sda1")
    options["device-include"] = "sda"
    assert filter_of("diskstats", options, "device-include", "device-exclude").wanted("sda1")


def test_both_are_an_error() -> None:
    """It names the flags."""
    options = {"device-include": "sda", "device-exclude": "sdb"}
    with pytest.raises(ConfigError, match=r"--collector\.diskstats\.device-include and --collector\.diskstats"):
        filter_of("diskstats", options, "device-include", "device-exclude")
