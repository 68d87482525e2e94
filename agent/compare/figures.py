"""What was measured as figures. Pure.

A round is one interval of one node. Lost is a round whose batch the receiver does not have in the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from agent.compare.look import Look, Pushed
from agent.compare.measured import Cpu, Measured
from agent.compare.stack import TRANSPORTS, Transport


class Figures(NamedTuple):
    """One transport in one scenario, over all nodes. None: nothing was there to measure.

    Shares are of one core: ``agent_cpu`` of an agent that does only this (mean over nodes), ``receiver_cpu`` of its
    receiver. ``declared`` rounds are among the lost, and the receiver itself says that they are.
    """

    scenario: str
    transport: Transport
    age_median_s: float | None
    age_p99_s: float | None
    wire_bytes: int
    samples: int
    agent_cpu: float
    receiver_cpu: float
    rounds: int
    lost: int
    declared: int
    samples_lost: int | None

    @property
    def bytes_per_sample(self) -> float | None:
        return self.wire_bytes / self.samples if self.samples else None


class Received(NamedTuple):
    """``samples`` are those of the rounds that are there."""

    rounds: int
    lost: int
    declared: int
    samples: int


def figures(measured: Measured) -> list[Figures]:
    return [_of(measured, transport) for transport in TRANSPORTS]


def _of(measured: Measured, transport: Transport) -> Figures:
    received = pulled(measured) if transport == "pull" else pushed(measured)
    held = received.rounds - received.lost
    ages = [look.age_s for looks in measured.looks[transport].values() for look in within(measured, looks)]
    before, after = measured.before.carried[transport], measured.after.carried[transport]
    agents = [share for name, share in shares(measured).items() if name.startswith(f"agent-{transport}-")]
    receiver = {"pull": "puller-pull", "push": "aggregator-push"}[transport]
    return Figures(
        measured.scenario,
        transport,
        quantile(ages, 0.5),
        quantile(ages, 0.99),
        sum(after[node].total - before[node].total for node in before),
        received.samples,
        sum(agents) / len(agents),
        shares(measured)[receiver],
        received.rounds,
        received.lost,
        received.declared,
        round(received.lost * received.samples / held) if held else None,
    )


def within(measured: Measured, looks: Iterable[Look]) -> list[Look]:
    return [look for look in looks if measured.begin_s <= look.time_s < measured.end_s]


def quantile(values: Sequence[float], q: float) -> float | None:
    """The smallest of the values that a share ``q`` of them does not exceed."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(q * len(values)) - 1)]


def shares(measured: Measured) -> dict[str, float]:
    """Of one core, by process."""
    before, after = measured.before.cpu, measured.after.cpu
    return {name: _share(before[name], after[name]) for name in before}


def _share(before: Cpu, after: Cpu) -> float:
    return (after.cpu_s - before.cpu_s) / (after.time_s - before.time_s)


def pulled(measured: Measured) -> Received:
    """By the schedule: a try that the puller left out is lost, and nothing says so."""
    rounds = lost = declared = samples = 0
    for node in measured.looks["pull"]:
        tries = measured.scrapes.get(node, [])
        held = [one for one in tries if one.batch_s is not None]
        rounds += measured.rounds
        lost += measured.rounds - len(held)
        declared += len(tries) - len(held)
        samples += sum(one.samples for one in held)
    return Received(rounds, lost, declared, samples)


def pushed(measured: Measured) -> Received:
    """By the numbers that the agent gave its records, and those that the aggregator has."""
    rounds = stored = declared = 0
    samples = 0.0
    for node, before in measured.before.kept.items():
        after = measured.after.kept[node]
        rounds += after.numbered - before.numbered
        stored += after.stored - before.stored
        declared += after.declared - before.declared
        sizes = [one.samples for one in pushed_within(measured, node)]
        samples += (after.stored - before.stored) * (sum(sizes) / len(sizes) if sizes else 0)
    return Received(rounds, rounds - stored, declared, round(samples))


def pushed_within(measured: Measured, node: str) -> list[Pushed]:
    """The batches of these rounds that were seen at the aggregator."""
    found = measured.pushed[node].items()
    return [one for batch_s, one in found if measured.begin_s <= batch_s < measured.end_s]


def came_after_s(measured: Measured) -> float | None:
    """How old a batch was when it came to the aggregator, in the median."""
    return quantile([one.came_after_s for node in measured.pushed for one in pushed_within(measured, node)], 0.5)


def same_batches(measured: Measured) -> tuple[int, int]:
    """How many of the batches that were pulled were seen at the aggregator too, and how many were pulled."""
    pulled = [
        (node, one.batch_s) for node, tries in measured.scrapes.items() for one in tries if one.batch_s is not None
    ]
    return sum(batch_s in measured.pushed[node] for node, batch_s in pulled), len(pulled)


def live_again_s(measured: Measured, transport: Transport) -> list[float | None]:
    """For each node, how long after the links were mended its receiver had a batch that was made since; None: never."""
    if measured.cut_s is None:
        return []
    mended_s = measured.cut_s[1]
    return [
        next((look.time_s - mended_s for look in looks if look.batch_s >= mended_s), None)
        for looks in measured.looks[transport].values()
    ]
