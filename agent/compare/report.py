"""What is told at the end: the table with what surrounds it, and everything that was measured as JSON."""

from __future__ import annotations

import json
import os
import textwrap
import time
from typing import Any, Final, NamedTuple

from agent import __version__
from agent.compare.figures import figures, same_batches, shares
from agent.compare.measured import Measured, Reading
from agent.compare.plan import BEHIND_S, Plan
from agent.compare.table import table
from agent.errors import ConfigError

FORMAT: Final = 1
WIDTH: Final = 118


class Run(NamedTuple):
    """``begun_s`` is wall clock."""

    plan: Plan
    puller: str
    machine: str
    begun_s: float
    measured: list[Measured]


def text(run: Run) -> str:
    plan = run.plan
    title = (
        f"Push against pull: {_count(plan.nodes, 'node')}, a round every {plan.interval_s:g} s,"
        f" {plan.rounds} rounds a scenario. Pulled by {run.puller}; pushed to headroom aggregator {__version__}."
    )
    rows = [one for measured in run.measured for one in figures(measured)]
    parts = [_filled(title), _filled(f"Machine: {run.machine}."), "", table(rows), "", *map(_filled, _notes(run))]
    return "\n".join(parts) + "\n"


def _notes(run: Run) -> list[str]:
    plan = run.plan
    notes = [
        "Age: how old the newest batch is that the receiver has, whenever one looks (20 times a round); by the node's"
        " clock, node_time_seconds. A perfect transport has a median of half a round.",
        "On the wire: TCP payload both ways, requests, acknowledgements and framing included; gzip as Prometheus asks"
        " for it; neither with TLS. By samples that arrived.",
        "CPU: of one core, by processes that do only this transport. An agent's includes the collection, which is the"
        f" same for both; the receiver's is for {_count(plan.nodes, 'node')}.",
        "Lost: not at the receiver in the end. Told: the receiver itself says so, by up 0 or as a declared gap.",
    ]
    for one in run.measured:
        notes += _about(one, plan)
    return notes


def _about(measured: Measured, plan: Plan) -> list[str]:
    if measured.cut_s is None:
        same, pulled = same_batches(measured)
        return [
            f"Steady: {same} of {pulled} batches that were pulled are those that were pushed. For that an agent pushes"
            f" {BEHIND_S * 1000:.0f} ms behind its scrape, and so much of push's age is the"
            " experiment's."
        ]
    begin_s, end_s = measured.cut_s
    late = measured.rounds - plan.rounds
    drained = f" Push had everything {_count(late, 'round')} after the last." if late else ""
    return [f"Outage: every connection was cut, and none made, for {end_s - begin_s:.1f} s.{drained}"]


def document(run: Run) -> dict[str, Any]:
    """Everything that was measured, and what it takes to measure it again."""
    plan = run.plan
    return {
        "format": FORMAT,
        "begun": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(run.begun_s)),
        "command": f"headroom compare --duration {plan.duration_s:g}s --nodes {plan.nodes}"
        f" --interval {plan.interval_s:g}s --scenario {','.join(plan.scenarios)}",
        "machine": run.machine,
        "versions": {"headroom": __version__, "puller": run.puller},
        "plan": plan._asdict() | {"rounds": plan.rounds, "cut_rounds": plan.cut_rounds, "push_behind_pull_s": BEHIND_S},
        "transport": {"tls": False, "pull": "HTTP/1.1, gzip", "push": "gRPC, HTTP/2", "counted": "TCP payload, both ways"},
        "scenarios": [_scenario(one) for one in run.measured],
    }


def _scenario(measured: Measured) -> dict[str, Any]:
    same, pulled = same_batches(measured)
    return {
        "scenario": measured.scenario,
        "begin_unix_s": measured.begin_s,
        "end_unix_s": measured.end_s,
        "rounds": measured.rounds,
        "cut_unix_s": measured.cut_s,
        "figures": [one._asdict() | {"bytes_per_sample": one.bytes_per_sample} for one in figures(measured)],
        "batches_pulled": pulled,
        "batches_pulled_and_seen_pushed": same,
        "cpu_share_of_a_core": shares(measured),
        "before": _reading(measured.before),
        "after": _reading(measured.after),
        "scrapes": _rows(measured.scrapes),
        "pushed_samples_by_batch": {node: list(known.items()) for node, known in measured.pushed.items()},
        "looks": {transport: _rows(looks) for transport, looks in measured.looks.items()},
    }


def _reading(reading: Reading) -> dict[str, Any]:
    return {
        "cpu": {name: one._asdict() for name, one in reading.cpu.items()},
        "carried_bytes": {
            transport: {node: one._asdict() for node, one in carried.items()}
            for transport, carried in reading.carried.items()
        },
        "records": {node: one._asdict() for node, one in reading.kept.items()},
    }


def _rows(by_node: dict[str, list[Any]]) -> dict[str, list[list[Any]]]:
    return {node: [list(one) for one in rows] for node, rows in by_node.items()}


def prepare(directory: str) -> None:
    """So that it is known before the run when nothing can be written after it. Raises ConfigError."""
    try:
        os.makedirs(directory, exist_ok=True)
        _write(directory, "compare.txt", "")
    except OSError as error:
        raise ConfigError(f"--output {directory}: {error.strerror}") from None


def write(directory: str, run: Run) -> None:
    """Raises OSError."""
    _write(directory, "compare.txt", text(run))
    _write(directory, "compare.json", json.dumps(document(run), indent=1) + "\n")


def _write(directory: str, name: str, content: str) -> None:
    part = os.path.join(directory, f"{name}.part")
    with open(part, "w") as file:
        file.write(content)
    os.replace(part, os.path.join(directory, name))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _filled(line: str) -> str:
    return textwrap.fill(line, WIDTH, break_long_words=False, break_on_hyphens=False)
