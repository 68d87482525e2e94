"""The rules for skipping, for every test.

A test is skipped only by ``@pytest.mark.needs(...)``, when the machine lacks what it needs (tests/requirements.py).
With ``CI=true`` the run must be complete: to lack what could be had here is a failure, and so is any other way of
skipping. A run that executed no test fails everywhere. The run ends with a table of what was skipped, and why.
"""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Generator

import pytest
from hypothesis import settings

from tests import requirements

DESCRIPTORS = 300
COMPLETE = os.environ.get("CI") == "true"
NEEDS = "needs(*names): what the test needs of the machine, by its name in tests/requirements.py"

if not COMPLETE:  # there hypothesis has a profile of its own, with the same examples every time
    settings.register_profile("here", deadline=None)
    settings.load_profile("here")

_executed: set[str] = set()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", NEEDS)
    for name in [name for name in os.environ if name.startswith("HEADROOM_")]:
        del os.environ[name]  # they are settings, and what a test starts inherits them


def pytest_itemcollected(item: pytest.Item) -> None:
    unknown = set(_needs(item)) - set(requirements.REQUIREMENTS)
    if unknown:
        raise pytest.UsageError(f"{item.nodeid} needs {', '.join(unknown)}: not in tests/requirements.py")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for name in _needs(item):
        missing = requirements.lack(name)
        if missing and COMPLETE and requirements.obtainable(name):
            pytest.fail(f"this machine could run it, but has no {name}: {missing}", pytrace=False)
        if missing:
            item.user_properties.append(("needs", name))
            pytest.skip(f"needs {name}: {missing}")


def pytest_runtest_teardown() -> None:
    """What a test opened is closed when it is forgotten, which in a process of so many objects can take long."""
    if len(os.listdir("/proc/self/fd")) > DESCRIPTORS:
        gc.collect()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if (
        report.skipped
        and not hasattr(report, "wasxfail")
        and not any(key == "needs" for key, _ in item.user_properties)
    ):
        _refuse(report)
    if report.when == "call" and not report.skipped:
        _executed.add(report.nodeid)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped:
        _refuse(report)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus == pytest.ExitCode.OK and not _executed and not session.config.option.collectonly:
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = Counter(
        (report.nodeid.partition("::")[0], _why(report)) for report in terminalreporter.stats.get("skipped", ())
    )
    width = max((len(_what(file, count)) for (file, _), count in rows.items()), default=0)
    terminalreporter.section("skipped | why" if rows else "nothing was skipped")
    for (file, why), count in sorted(rows.items()):
        terminalreporter.write_line(f"{_what(file, count):<{width}} | {why}")


def _needs(item: pytest.Item) -> list[str]:
    return [name for marker in item.iter_markers("needs") for name in marker.args]


def _refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    if COMPLETE:
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: skipped without the marker needs: {_why(report)}"


def _why(report: pytest.TestReport | pytest.CollectReport) -> str:
    """The reason of a skip: of (file, line, reason) the last."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")


def _what(file: str, count: int) -> str:
    return f"{file} ({count} test{'s' if count > 1 else ''})"
