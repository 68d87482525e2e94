"""The rules that judge a scrape find what they are for: each sees a scrape that breaks it, and one that does not."""

from __future__ import annotations

import pytest

from tests.containers import lives
from tests.containers.lives import Kind, Life, Reading, Scrape, Series, Values

CPU = Series("cpu")
MEMORY = Series("memory")
LIMIT = Series("limit")
OOM = Series("oom")
KINDS: dict[Series, Kind] = {CPU: "grows", OOM: "grows late", MEMORY: "floats"}
PATH = "/kubepods/pod1/a"
STEADY = Life(PATH, 64, begun_s=1, up_s=2)


def scrape(served: Values | None, before: Reading | None = None, after: Reading | None = None) -> Scrape:
    """A scrape from second 10 to 11 that served these values of PATH."""
    trees = [{} if one is None else {PATH: one} for one in (before, served, after)]
    return Scrape(10, 11, *trees)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("life", "found"),
    [
        (STEADY, []),
        (STEADY._replace(ending_s=9, gone_s=10.5), []),
        (STEADY._replace(begun_s=10.9), []),
        (STEADY._replace(ending_s=9, gone_s=9.9), [f"ghost: {PATH}"]),
        (STEADY._replace(begun_s=11.1), [f"ghost: {PATH}"]),
        (STEADY._replace(path="/kubepods/pod2/a"), [f"ghost: {PATH}"]),
    ],
)
def test_ghosts(life: Life, found: list[str]) -> None:
    """A series is a ghost's when its cgroup was gone before the scrape began, or is in another pod."""
    assert lives.ghosts(scrape({CPU: 1.0}), [life]) == found


def test_a_pod_goes_with_its_last_container() -> None:
    """What is served of a pod as a whole is a ghost when none of its containers is left."""
    pod = Scrape(10, 11, {}, {"/kubepods/pod1": {CPU: 1.0}}, {})
    assert lives.ghosts(pod, [STEADY]) == []
    assert lives.ghosts(pod, [STEADY._replace(ending_s=9, gone_s=9.9)]) == ["ghost: /kubepods/pod1"]


def test_missing() -> None:
    """A container that ran all the time has its series; one that was being removed need not have."""
    assert lives.missing(scrape({CPU: 1.0}), [STEADY], [CPU]) == []
    assert lives.missing(scrape({MEMORY: 1.0}), [STEADY], [CPU]) == [f"missing: {PATH} {CPU}"]
    assert lives.missing(scrape(None), [STEADY], [CPU]) == [f"missing: {PATH} {CPU}"]
    assert lives.missing(scrape(None), [STEADY._replace(ending_s=10.5)], [CPU]) == []


def test_limits() -> None:
    """The limit of the cgroup's predecessor is found."""
    before = STEADY._replace(memory_limit_bytes=32, ending_s=3, gone_s=4)
    now = STEADY._replace(begun_s=5, up_s=6)
    assert lives.limits(scrape({LIMIT: 64}), [before, now], LIMIT) == []
    assert lives.limits(scrape({LIMIT: 32}), [before, now], LIMIT) == [f"limit: {PATH} has 32, not 64"]


@pytest.mark.parametrize(
    ("before", "value", "after", "right"),
    [
        (Reading(1, {CPU: 5.0}), 5.0, Reading(1, {CPU: 6.0}), True),
        (Reading(1, {CPU: 5.0}), 4.9, Reading(1, {CPU: 6.0}), False),
        (Reading(1, {CPU: 5.0}), 6.1, Reading(1, {CPU: 6.0}), False),
        (Reading(1, {CPU: 5.0}), 0.0, Reading(1, {CPU: 6.0}), False),
        (Reading(1, {CPU: 5.0}), 5.5, Reading(2, {CPU: 1.0}), True),
        (Reading(1, {CPU: 5.0}), 0.5, Reading(2, {CPU: 1.0}), True),
        (Reading(1, {CPU: 5.0}), 2.0, Reading(2, {CPU: 1.0}), False),
        (Reading(1, {CPU: 5.0}), 7.0, None, True),
        (Reading(1, {CPU: 5.0}), 0.0, None, False),
        (None, 0.0, Reading(2, {CPU: 1.0}), True),
        (None, 2.0, Reading(2, {CPU: 1.0}), False),
    ],
)
def test_what_grows(before: Reading | None, value: float, after: Reading | None, right: bool) -> None:
    """A counter lies between the readings of its own cgroup, whichever of two it is."""
    assert (lives.wrong(scrape({CPU: value}, before, after), [STEADY], KINDS) == []) is right


def test_what_is_told_late() -> None:
    """A counter that is not read every time may lag, but is never ahead, and never more than a new cgroup's own."""
    before, after = Reading(1, {OOM: 5.0}), Reading(1, {OOM: 6.0})
    for value, right in ((4.0, True), (6.0, True), (7.0, False)):
        assert (lives.wrong(scrape({OOM: value}, before, after), [STEADY], KINDS) == []) is right


def test_what_floats() -> None:
    """A gauge of 0 is wrong where the file never was, unless the container was just being removed."""
    before, after = Reading(1, {MEMORY: 5.0}), Reading(1, {MEMORY: 4.0})
    zero = scrape({MEMORY: 0.0}, before, after)
    assert lives.wrong(zero, [STEADY], KINDS) != []
    assert lives.wrong(zero, [STEADY._replace(ending_s=10.5)], KINDS) == []
    assert lives.wrong(scrape({MEMORY: 9.0}, before, after), [STEADY], KINDS) == []
    assert lives.wrong(scrape({MEMORY: 0.0}, before, Reading(1, {MEMORY: 0.0})), [STEADY], KINDS) == []
