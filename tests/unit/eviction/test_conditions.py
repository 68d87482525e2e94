"""A condition is set at once and stays for the transition period after it was last met."""

from __future__ import annotations

from agent.eviction.conditions import CONDITIONS, Conditions


def test_the_three_conditions() -> None:
    """Every signal belongs to one of the three that the kubelet knows."""
    assert CONDITIONS == ("MemoryPressure", "DiskPressure", "PIDPressure")


def test_it_is_set_when_met_and_stays_for_the_transition_period() -> None:
    """Met at 10 s only, with 300 s of transition, it is set until 310 s and no longer."""
    conditions = Conditions()
    assert conditions.update(0, [], 300) == frozenset()
    assert conditions.update(10, ["MemoryPressure"], 300) == {"MemoryPressure"}
    assert conditions.update(309.9, [], 300) == {"MemoryPressure"}
    assert conditions.update(310, [], 300) == frozenset()


def test_without_a_transition_period_none_is_ever_set() -> None:
    """A flag can make it 0, and then the kubelet never says that it is under pressure, not even while it is."""
    assert Conditions().update(10, ["MemoryPressure"], 0) == frozenset()


def test_being_met_again_begins_the_period_anew() -> None:
    """The period counts from the last time, not from the first."""
    conditions = Conditions()
    conditions.update(0, ["DiskPressure"], 100)
    conditions.update(90, ["DiskPressure"], 100)
    assert conditions.update(150, ["PIDPressure"], 100) == {"DiskPressure", "PIDPressure"}
    assert conditions.update(191, [], 100) == {"PIDPressure"}
