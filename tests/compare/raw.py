"""A scenario's raw numbers, small enough to reckon by hand: one node, six rounds of a second from 1000 s on."""

from __future__ import annotations

from agent.compare.link import Carried
from agent.compare.look import Look, Pushed
from agent.compare.measured import Cpu, Measured, Reading
from agent.compare.pulling import Scrape
from agent.compare.stack import Kept

NODE = "node-1"
PROCESSES = ("agent-both-node-1", "agent-pull-node-1", "agent-push-node-1", "puller-pull", "aggregator-push")
CPU_S = {"agent-pull-node-1": 0.06, "agent-push-node-1": 0.12, "puller-pull": 0.3, "aggregator-push": 0.6}


def steady() -> Measured:
    """Every batch is made at .2 of a second; the one end has it at once, the other half a second later."""
    batches = [1000.2 + number for number in range(6)]
    return Measured(
        "steady",
        interval_s=1.0,
        begin_s=1000.0,
        end_s=1006.0,
        cut_s=None,
        before=_reading(0.0, {}, Carried(100, 1000), Carried(500, 50), Kept(10, 10, 0)),
        after=_reading(6.0, CPU_S, Carried(700, 6400), Carried(1000, 150), Kept(16, 16, 0)),
        looks={
            "pull": {NODE: [Look(batch_s + late_s, batch_s) for batch_s in batches for late_s in (0.1, 0.3)]},
            "push": {NODE: [Look(batch_s + late_s, batch_s) for batch_s in batches for late_s in (0.5, 0.7)]},
        },
        scrapes={NODE: [Scrape(batch_s - 0.01, batch_s, 100) for batch_s in batches]},
        pushed={NODE: dict.fromkeys(batches, Pushed(100, 0.04))},
    )


def outage() -> Measured:
    """Cut for the second and third round. The record of the third is declared lost; both come back in time."""
    whole = steady()
    failed = {at: one._replace(batch_s=None, samples=0) for at, one in enumerate(whole.scrapes[NODE]) if at in (1, 2)}
    looks = [Look(1000.5, 1000.2), *(Look(at_s, 1000.2) for at_s in (1001.5, 1002.5)), Look(1003.5, 1003.2)]
    return whole._replace(
        scenario="outage",
        cut_s=(1001.0, 1003.0),
        after=whole.after._replace(kept={NODE: Kept(16, 15, 1)}),
        looks={"pull": {NODE: looks}, "push": {NODE: [*looks[:3], Look(1004.5, 1004.2)]}},
        scrapes={NODE: [failed.get(at, one) for at, one in enumerate(whole.scrapes[NODE])]},
    )


def _reading(time_s: float, cpu_s: dict[str, float], pull: Carried, push: Carried, kept: Kept) -> Reading:
    cpu = {name: Cpu(1.0 + cpu_s.get(name, 0.0), time_s) for name in PROCESSES}
    return Reading(cpu, {"pull": {NODE: pull}, "push": {NODE: push}}, {NODE: kept})
