"""Nothing is lost silently, stored twice or called lost wrongly, whatever goes wrong in whatever order."""

from __future__ import annotations

import pytest

from tests.stream.mistakes import MISTAKES, Planted
from tests.stream.simulation import Simulation, Violation

SCHEDULES = 2_000
MANY = 20_000
PARTS = 4  # so that a failure says more than one seed
SOON = 1_500  # schedules within which a mistake must show
# In test_directed.py: the order within one step, and what one schedule in thousands shows.
DIRECTED = {"backfill first", "closed sessions forgotten"}


@pytest.mark.parametrize("part", range(PARTS))
def test_random_schedules(part: int) -> None:
    """Every property holds after every schedule. A seed that fails: Simulation(seed).run()."""
    failed = failures(range(part, SCHEDULES, PARTS))
    assert failed == {}


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_many_random_schedules(part: int) -> None:
    """The same, ten times as many others."""
    failed = failures(range(SCHEDULES + part, SCHEDULES + MANY, PARTS))
    assert failed == {}


@pytest.mark.parametrize("name", sorted(MISTAKES.keys() - DIRECTED))
def test_a_planted_mistake_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulation with the mistake in it breaks a property before long."""
    mistake = MISTAKES[name]
    for target, instead in mistake.patches.items():
        monkeypatch.setattr(target, instead)
    assert first_caught(mistake) is not None


def first_caught(mistake: Planted) -> int | None:
    """The seed."""
    return next((seed for seed in range(SOON) if failure(seed, mistake)), None)


def failures(seeds: range) -> dict[int, str]:
    found = {seed: failure(seed) for seed in seeds}
    return {seed: why for seed, why in found.items() if why}


def failure(seed: int, mistake: Planted | None = None) -> str:
    try:
        Simulation(seed, mistake.parts() if mistake else None).run()
    except Violation as violation:
        return str(violation)
    return ""
