"""What is told at the end: the table with what surrounds it, and everything that was measured as JSON."""

from __future__ import annotations

import json
import os
import tempfile
import textwrap
import time
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, Final, NamedTuple

from agent import __version__
from agent.compare.figures import came_after_s, figures, live_again_s, same_batches, shares
from agent.compare.measured import Measured, Reading
from agent.compare.plan import BEHIND_S, Plan
from agent.compare.pulling import Program
from agent.compare.stack import TRANSPORTS
from agent.compare.table import table
from agent.errors import ConfigError

FORMAT: Final = 1
WIDTH: Final = 118
LABEL: Final = 13  # columns
LIBRARIES: Final = ("grpcio", "protobuf", "aiohttp", "httptools")


class Run(NamedTuple):
    """``begun_s`` is wall clock."""

    plan: Plan
    puller: Program
    machine: str
    begun_s: float
    measured: list[Measured]


def text(run: Run) -> str:
    plan = run.plan
    title = (
        f"Push against pull: {_count(plan.nodes, 'node')}, a round every {plan.interval_s:g} s,"
        f" {plan.rounds} rounds a scenario. Pulled by {run.puller.title}; pushed to headroom aggregator {__version__}."
    )
    rows = [one for measured in run.measured for one in figures(measured)]
    notes = [_filled(text, label) for label, text in (*_legend(plan), *_happened(run))]
    parts = [_filled(title), _filled(f"On {run.machine}."), "", table(rows), "", *notes]
    return "\n".join(parts) + "\n"


def _legend(plan: Plan) -> Iterator[tuple[str, str]]:
    """What the columns mean."""
    yield (
        "age",
        "How old the newest batch is that the receiver has, by the node's own clock (node_time_seconds), looked at"
        " about 20 times a round. A transport that takes no time has a median of half a round.",
    )
    yield (
        "on the wire",
        "TCP payload both ways, with requests, acknowledgements and framing, for each sample that arrived. Pull is"
        " gzipped, as its puller asks; neither uses TLS. Push names its series when a stream begins, so after an"
        " outage, and every 15 minutes.",
    )
    yield (
        "CPU",
        "Of one core, in processes that do only this transport and that nobody else asks. An agent's includes the"
        f" collection, the same for both; a receiver's is for {_count(plan.nodes, 'node')}.",
    )
    yield (
        "lost",
        "Not at the receiver in the end. Declared is what the receiver itself says is missing: up 0 for a scrape, a gap"
        " for records.",
    )


def _happened(run: Run) -> Iterator[tuple[str, str]]:
    """What else is to be known of each scenario."""
    for measured in run.measured:
        yield measured.scenario, _outage(measured, measured.cut_s) if measured.cut_s else _steady(measured)
        if (longer := measured.rounds - run.plan.rounds) > 0:
            yield "", f"It was measured {_count(longer, 'round')} longer, for what had waited to come."
        if missing := sum(one.missing for one in measured.after.kept.values()):
            yield "", f"{_count(missing, 'pushed round')} had not come by then; they count as lost."


def _steady(measured: Measured) -> str:
    same, pulled = same_batches(measured)
    came_s = came_after_s(measured)
    came = "" if came_s is None else f" (a batch was {came_s * 1000:.0f} ms old when the aggregator had it)"
    return (
        f"Of {pulled} batches that were pulled, {same} are the very ones that were pushed. For that an agent pushes"
        f" {BEHIND_S * 1000:.0f} ms after its scrape{came}; so much of push's age is the experiment's. A scrape that is"
        " later makes a batch of its own."
    )


def _outage(measured: Measured, cut_s: tuple[float, float]) -> str:
    again = ", ".join(f"{_last(live_again_s(measured, one))} by {one}" for one in TRANSPORTS)
    return (
        f"For {cut_s[1] - cut_s[0]:.1f} s every connection was cut, and none was made. So long after that the last node"
        f" was live again: {again}. (Push waits at random before it tries again, at most as long as it was cut.)"
    )


def _last(seconds: list[float | None]) -> str:
    known = [one for one in seconds if one is not None]
    return f"{max(known):.1f} s" if known and len(known) == len(seconds) else "not by the end"


def document(run: Run) -> dict[str, Any]:
    """Everything that was measured, and what it takes to measure it again."""
    plan = run.plan
    return {
        "format": FORMAT,
        "begun": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(run.begun_s)),
        "command": f"headroom compare --duration {plan.duration_s:g}s --nodes {plan.nodes}"
        f" --interval {plan.interval_s:g}s --scenario {','.join(plan.scenarios)}",
        "machine": run.machine,
        "versions": {"headroom": __version__, **{name: version(name) for name in LIBRARIES}},
        "puller": run.puller._asdict(),
        "plan": plan._asdict() | {"rounds": plan.rounds, "cut_rounds": plan.cut_rounds, "push_behind_pull_s": BEHIND_S},
        "transport": {
            "tls": False,
            "pull": "HTTP/1.1, gzip",
            "push": "gRPC, HTTP/2",
            "counted": "TCP payload, both ways",
        },
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
        "live_again_s": {one: live_again_s(measured, one) for one in TRANSPORTS},
        "cpu_share_of_a_core": shares(measured),
        "before": _reading(measured.before),
        "after": _reading(measured.after),
        "scrapes": _rows(measured.scrapes),
        "came_after_s": came_after_s(measured),
        "pushed": {node: [[at_s, *one] for at_s, one in known.items()] for node, known in measured.pushed.items()},
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
        tempfile.TemporaryFile(dir=directory).close()
    except OSError as error:
        raise ConfigError(f"--output {directory}: {error.strerror}") from None


def write(directory: str, run: Run) -> None:
    """Raises OSError."""
    _write(directory, "compare.txt", text(run))
    _write(directory, "compare.json", json.dumps(document(run)) + "\n")


def _write(directory: str, name: str, content: str) -> None:
    part = os.path.join(directory, f"{name}.part")
    with open(part, "w") as file:
        file.write(content)
    os.replace(part, os.path.join(directory, name))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _filled(text: str, label: str | None = None) -> str:
    first, rest = (f"{label:<{LABEL}}", " " * LABEL) if label is not None else ("", "")
    return textwrap.fill(
        text, WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
