"""What was measured as figures, and as the table and the document that tell it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.compare import report
from agent.compare.figures import figures, live_again_s, quantile, same_batches
from agent.compare.plan import Plan
from agent.compare.pulling import Program, Scrape
from agent.compare.stack import Kept, kept
from agent.compare.table import table
from tests.compare.raw import NODE, outage, steady

RUN = report.Run(
    Plan(12.0, 1, 1.0, ("steady", "outage")), Program("/p", "Prometheus 3.5.3"), "1 x CPU", 1000.0, [steady(), outage()]
)
TABLE = """
                     AGE OF NEWEST,  AGE OF NEWEST,  ON THE WIRE,    CPU OF    CPU OF  ROUNDS  SAMPLES  LOST ROUNDS
SCENARIO  TRANSPORT          MEDIAN             P99    PER SAMPLE  AN AGENT  RECEIVER    LOST     LOST     DECLARED
steady    pull               0.10 s          0.30 s       10.00 B     1.00%     5.00%  0 of 6        0            -
steady    push               0.50 s          0.70 s        1.00 B     2.00%    10.00%  0 of 6        0            -
outage    pull               0.30 s          2.30 s       15.00 B     1.00%     5.00%  2 of 6      200            2
outage    push               0.30 s          2.30 s        1.20 B     2.00%    10.00%  1 of 6      100            1
"""


def test_a_steady_scenario() -> None:
    """Every figure of both transports, reckoned by hand."""
    pull, push = figures(steady())
    assert (pull.age_median_s, pull.age_p99_s) == pytest.approx((0.1, 0.3))
    assert (push.age_median_s, push.age_p99_s) == pytest.approx((0.5, 0.7))
    assert (pull.wire_bytes, pull.samples, pull.bytes_per_sample) == (6000, 600, 10.0)
    assert (push.wire_bytes, push.samples, push.bytes_per_sample) == (600, 600, 1.0)
    assert (pull.agent_cpu, pull.receiver_cpu) == pytest.approx((0.01, 0.05))
    assert (push.agent_cpu, push.receiver_cpu) == pytest.approx((0.02, 0.1))
    for one in (pull, push):
        assert (one.rounds, one.lost, one.declared, one.samples_lost) == (6, 0, 0, 0)


def test_an_outage() -> None:
    """Pull lost the two rounds, and said so; push lost one record, and said so."""
    pull, push = figures(outage())
    assert (pull.rounds, pull.lost, pull.declared, pull.samples_lost) == (6, 2, 2, 200)
    assert (push.rounds, push.lost, push.declared, push.samples_lost) == (6, 1, 1, 100)
    assert pull.age_p99_s == pytest.approx(2.3)


def test_a_scrape_that_was_never_tried_is_lost_and_nothing_says_so() -> None:
    """By the schedule it was due."""
    measured = steady()
    pull, _ = figures(measured._replace(scrapes={NODE: measured.scrapes[NODE][:-1]}))
    assert (pull.rounds, pull.lost, pull.declared) == (6, 1, 0)


def test_a_record_that_is_not_there_and_not_declared_is_lost() -> None:
    """What is still on its way at the end counts."""
    measured = steady()
    after = measured.after._replace(kept={NODE: kept(16, 14, 0)})
    _, push = figures(measured._replace(after=after))
    assert (push.lost, push.declared) == (2, 0)


def test_where_nothing_came_there_is_no_figure() -> None:
    """Absent is not 0: neither bytes per sample, nor an age, nor how many samples the lost rounds had."""
    measured = steady()
    silent = measured._replace(
        scrapes={NODE: [Scrape(1000.1, None, 0)] * 6}, looks={"pull": {NODE: []}, "push": {NODE: []}}
    )
    pull, _ = figures(silent)
    assert (pull.bytes_per_sample, pull.age_median_s, pull.age_p99_s, pull.samples_lost) == (None, None, None, None)
    assert (pull.lost, pull.declared) == (6, 6)
    assert table([pull]).splitlines()[-1].split()[2:5] == ["-", "-", "-"]


def test_what_was_stored_since_the_agent_was_asked_does_not_hide_a_loss() -> None:
    """Of ten numbered records one is declared lost: nine are stored, however many came after the tenth."""
    assert kept(10, 12, 1) == Kept(10, 9, 1)
    assert kept(10, 9, 1).missing == 0
    assert kept(10, 8, 1).missing == 1


def test_the_same_batches() -> None:
    """Only a batch with the very same time, at the same node, is the same."""
    measured = steady()
    assert same_batches(measured) == (6, 6)
    known = measured.pushed[NODE].items()
    pushed = {batch_s if number else batch_s + 1e-6: one for number, (batch_s, one) in enumerate(known)}
    assert same_batches(measured._replace(pushed={NODE: pushed})) == (5, 6)


def test_live_again() -> None:
    """From the mending on, until something is there that was made since."""
    measured = outage()
    assert live_again_s(measured, "pull") == [0.5]
    assert live_again_s(measured, "push") == [1.5]
    assert live_again_s(measured._replace(looks={"pull": {NODE: []}, "push": {}}), "pull") == [None]
    assert live_again_s(steady(), "pull") == []


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_one_of_the_values(values: list[float], q: float) -> None:
    """At least a share ``q`` is not above it, and less than ``q`` is below it."""
    found = quantile(values, q)
    assert found in values
    assert sum(one <= found for one in values) >= q * len(values) - 1e-9
    assert sum(one < found for one in values) < q * len(values) + 1e-9


def test_the_table() -> None:
    """To the byte."""
    rows = [one for measured in RUN.measured for one in figures(measured)]
    assert table(rows) == TABLE.strip("\n")


def test_the_text_says_what_was_compared_and_how() -> None:
    """Who pulled, which machine, what is TLS, whose batches, how long it was cut; no line is too long to read."""
    text = report.text(RUN)
    flat = " ".join(text.split())
    for part in (
        "Pulled by Prometheus 3.5.3; pushed to headroom aggregator",
        "On 1 x CPU.",
        "neither uses TLS",
        "Of 6 batches that were pulled, 6 are the very ones that were pushed",
        "(a batch was 40 ms old when the aggregator had it)",
        "For 2.0 s every connection was cut",
        "0.5 s by pull, 1.5 s by push",
    ):
        assert part in flat
    assert max(map(len, text.splitlines())) <= 120


def test_what_is_missing_at_the_end_is_said() -> None:
    """How much longer it was waited for, and that it counts as lost."""
    measured = outage()
    after = measured.after._replace(kept={NODE: kept(16, 12, 1)})
    longer = measured._replace(after=after, end_s=measured.end_s + 2.0)
    text = " ".join(report.text(RUN._replace(measured=[longer])).split())
    assert "It was measured 2 rounds longer, for what had waited to come. 3 pushed rounds had not come" in text


def test_the_document_gives_the_figures_again() -> None:
    """It is JSON without NaN, and has every look, scrape and reading that a figure is made from."""
    document = json.loads(json.dumps(report.document(RUN), allow_nan=False))
    assert document["command"] == "headroom compare --duration 12s --nodes 1 --interval 1s --scenario steady,outage"
    one = document["scenarios"][0]
    assert one["figures"][0]["bytes_per_sample"] == 10.0
    carried = [one[when]["carried_bytes"]["pull"][NODE] for when in ("before", "after")]
    assert sum(carried[1].values()) - sum(carried[0].values()) == one["figures"][0]["wire_bytes"]
    assert len(one["looks"]["pull"][NODE]) == 12
    assert sum(samples for _, _, samples in one["scrapes"][NODE]) == one["figures"][0]["samples"]
    assert one["after"]["records"][NODE] == {"numbered": 16, "stored": 16, "declared": 0}
