"""The rules of tests/conftest.py, seen from outside: a small test file, run by a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
REQUIREMENTS = """
from tests.requirements import REQUIREMENTS, Requirement

REQUIREMENTS["moon"] = Requirement(lambda: "too far", lambda: False)
REQUIREMENTS["bread"] = Requirement(lambda: "sold out", lambda: True)
REQUIREMENTS["air"] = Requirement(lambda: "", lambda: True)
"""
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """pytest's exit code and output for a test file, on a machine with air, where bread can be had but no moon."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CI", "PYTEST"))}
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-p", "no:randomly"]

    def start(*tests: str, ci: bool = False) -> tuple[int, str]:
        (tmp_path / "pytest.ini").write_text("[pytest]")
        (tmp_path / "conftest.py").write_text(REQUIREMENTS)
        (tmp_path / "test_it.py").write_text("\n".join(("import pytest", *tests)))
        environment = {**kept, "PYTHONPATH": str(REPOSITORY), "HEADROOM_LISTEN": "x"} | ({"CI": "true"} if ci else {})
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return start


PASSES = "def test_passes(): pass"
NEEDS_AIR = "@pytest.mark.needs('air')\ndef test_air(): assert False, 'it ran'"
NEEDS_MOON = "@pytest.mark.needs('air', 'moon')\ndef test_moon(): assert False, 'it ran'"
NEEDS_BREAD = "@pytest.mark.needs('bread')\ndef test_bread(): assert False, 'it ran'"
SKIPS = "def test_skips(): pytest.skip('no mood')"


@pytest.mark.parametrize("ci", [False, True])
def test_what_the_machine_cannot_have_is_skipped_and_listed(run: Run, ci: bool) -> None:
    """A missing requirement costs its own tests; the table says how many and why, and pytest's line comes last."""
    code, said = run(PASSES, NEEDS_MOON, NEEDS_MOON.replace("test_moon", "test_moon_too"), ci=ci)
    assert code == 0, said
    assert "test_it.py (2 tests) | needs moon: too far" in said
    assert said.splitlines()[-1].strip("= ").startswith("1 passed, 2 skipped in ")


def test_what_is_there_is_used(run: Run) -> None:
    """A test whose requirement is met runs."""
    code, said = run(NEEDS_AIR)
    assert code == 1
    assert "it ran" in said


def test_what_could_be_had_is_skipped_at_home(run: Run) -> None:
    """Outside CI nobody has to prepare their machine to run the other tests."""
    code, said = run(PASSES, NEEDS_BREAD)
    assert code == 0
    assert "needs bread: sold out" in said


def test_what_could_be_had_may_not_be_missing_in_ci(run: Run) -> None:
    """In CI a test that this machine could have run fails when it cannot."""
    code, said = run(PASSES, NEEDS_BREAD, ci=True)
    assert code == 1
    assert "this machine could run it, but has no bread: sold out" in said
    assert "it ran" not in said


@pytest.mark.parametrize("skip", [SKIPS, "pytest.skip('no mood', allow_module_level=True)"])
def test_any_other_skip_fails_in_ci(run: Run, skip: str) -> None:
    """In CI a test or a file that skips itself fails; elsewhere it is listed like the others."""
    code, said = run(PASSES, skip, ci=True)
    assert code != 0
    assert "skipped without the marker needs: no mood" in said
    code, said = run(PASSES, skip)
    assert "no mood" in said.partition("skipped | why")[2]


@pytest.mark.parametrize("tests", [(), (NEEDS_MOON,), (NEEDS_BREAD, NEEDS_MOON)])
def test_a_run_without_a_test_fails(run: Run, tests: tuple[str, ...]) -> None:
    """When everything was skipped, or nothing was found, the run proves nothing."""
    assert run(*tests)[0] == pytest.ExitCode.NO_TESTS_COLLECTED


def test_an_unknown_requirement_is_an_error(run: Run) -> None:
    """A misspelt requirement does not skip, it ends the run."""
    code, said = run(NEEDS_MOON.replace("'moon'", "'mooon'"), PASSES)
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "test_it.py::test_moon needs mooon: not in tests/requirements.py" in said


def test_the_shell_s_settings_do_not_reach_the_tests(run: Run) -> None:
    """Environment variables that configure the agent are removed before any test."""
    code, said = run("import os\ndef test_it(): assert not [n for n in os.environ if n.startswith('HEADROOM_')]")
    assert code == 0, said
