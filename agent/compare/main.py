"""``headroom compare``: settings in, a table out."""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from typing import TextIO

from agent.compare import pulling, report
from agent.compare.laboratory import Laboratory
from agent.compare.machine import machine
from agent.compare.plan import plan_of
from agent.compare.workplace import Workplace
from agent.config.load import Config
from agent.errors import AgentError, ConfigError


def compare(config: Config, out: TextIO) -> int:
    """Raises ConfigError for what cannot be run, and AgentError for what ended before its end."""
    plan = plan_of(config)
    if not find_spec("aiohttp"):
        raise ConfigError("its aggregators need aiohttp: pip install 'headroom-agent[aggregator]'")
    program = pulling.find(config["prometheus"])
    directory: str = config["output"]
    if directory:
        report.prepare(directory)
    begun_s = time.time()
    with Workplace() as place:
        laboratory = Laboratory(plan, place, program, _say)
        laboratory.start()
        measured = [laboratory.measure(scenario) for scenario in plan.scenarios]
    run = report.Run(plan, program.title, machine(), begun_s, measured)
    print(report.text(run), end="", file=out, flush=True)
    if directory:
        try:
            report.write(directory, run)
        except OSError as error:
            raise AgentError(f"--output {directory}: {error.strerror}") from None
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
