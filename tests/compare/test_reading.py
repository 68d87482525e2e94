"""Who looks at what arrived, and what is read out of an exposition and of the aggregator's list of nodes."""

from __future__ import annotations

from itertools import pairwise

import pytest

from agent.compare.asking import AskError, batch_of, count_samples, series
from agent.compare.look import Look
from agent.compare.readers import Reader, step_s
from agent.compare.stack import sums

PAGE = b"""# HELP node_time_seconds System time in seconds since epoch (1970).
# TYPE node_time_seconds gauge
node_time_seconds 1795816687.0171893
node_time_zone_offset_seconds{time_zone="UTC"} 0
headroom_spool_records_total{lane="events"} 1
headroom_spool_records_total{lane="samples"} 17
# EOF
"""


def test_an_exposition_is_a_batch_with_so_many_samples() -> None:
    """To the last bit of its time; comments are no samples."""
    assert batch_of(PAGE) == 1795816687.0171893
    assert count_samples(PAGE) == 4
    assert series(PAGE, 'headroom_spool_records_total{lane="samples"}') == 17.0


def test_what_is_not_there_is_no_batch() -> None:
    """And a counter that is not there has not counted."""
    assert batch_of(b"node_time_seconds_other 1\n") is None
    assert count_samples(b"") == 0
    assert series(PAGE, "headroom_spool_records_total") == 0.0


def test_a_reader_remembers_what_it_saw_last() -> None:
    """When there is no answer, or nothing of this node, what it saw goes on to age; before it saw anything it has no
    age."""
    answers: list[dict[str, Look] | None] = [{}, {"a": Look(2.0, 1.5)}, None, {"b": Look(4.0, 3.9)}]

    def ask() -> dict[str, Look]:
        answer = answers.pop(0)
        if answer is None:
            raise AskError("no answer")
        return answer

    reader = Reader("test", ask, ["a", "b"], 1.0)
    for now_s in (1.0, 2.0, 3.0, 4.0):
        reader.look(now_s)
    assert reader.looks == {"a": [Look(2.0, 1.5), Look(3.0, 1.5), Look(4.0, 1.5)], "b": [Look(4.0, 3.9)]}
    assert reader.looks["a"][1].age_s == 1.5


def test_a_defect_of_a_reader_is_not_silent() -> None:
    """It is raised where the reader is stopped."""

    def broken() -> dict[str, Look]:
        raise KeyError("node")

    reader = Reader("test", broken, ["a"], 0.01)
    reader.start()
    reader._thread.join(10)
    with pytest.raises(KeyError):
        reader.stop()


def test_looks_are_not_in_step_with_the_rounds() -> None:
    """In twenty rounds of a second they come at 400 moments of it that are nowhere 10 ms apart."""
    moments = sorted(number * step_s(1.0, 1) % 1.0 for number in range(412))
    assert max(after - before for before, after in pairwise(moments)) < 0.01


def test_what_became_of_a_nodes_records() -> None:
    """Samples only; a gap counts by its records, also that of a session that vanished."""
    gap = {"lane": "samples", "records": 3}
    node = {
        "sessions": [
            {"lane": "samples", "records": 10, "gaps": [gap]},
            {"lane": "samples", "records": 5, "gaps": []},
            {"lane": "events", "records": 7, "gaps": [{"lane": "events", "records": 2}]},
        ],
        "vanished": [{"lane": "samples", "records": 4}, {"lane": "events", "records": 1}],
    }
    assert sums(node) == (15, 7)
