"""What the agent counts about itself."""

from __future__ import annotations

from agent.model import Family, Writer
from agent.telemetry import Counter, Histogram


def test_a_counter_counts_by_labels_and_is_born_with_what_it_must_show() -> None:
    """Label sets given at birth are there with 0; the others come with their first increment."""
    counter = Counter(Family("x_total", "counter", ".", ("reason",)), ("full",))
    counter.inc("broken")
    counter.inc("broken", by=2)
    out = Writer()
    counter.write(out)
    assert dict(zip(out.blocks[0].keys, out.blocks[0].values, strict=True)) == {("full",): 0, ("broken",): 3}


def test_an_observation_on_a_bound_is_within_it() -> None:
    """Buckets are inclusive upper bounds, as Prometheus has them."""
    histogram = Histogram(Family("x_seconds", "histogram", "."), (1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 99.0):
        histogram.observe(value)
    out = Writer()
    histogram.write(out)
    (block,) = out.blocks
    assert dict(zip(block.keys, block.values, strict=True)) == {
        ("_bucket", "1.0"): 2,
        ("_bucket", "2.0"): 3,
        ("_bucket", "+Inf"): 4,
        ("_sum", ""): 102.0,
        ("_count", ""): 4,
    }


def test_nothing_observed_is_nothing_shown() -> None:
    """An instrument that has counted nothing emits no block: absent is not 0."""
    out = Writer()
    Counter(Family("x_total", "counter", ".", ("a",))).write(out)
    Histogram(Family("x_seconds", "histogram", "."), (1.0,)).write(out)
    assert out.blocks == []
