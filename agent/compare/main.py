"""``headroom compare``: settings in, a table out."""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import Final, TextIO

from agent.compare import pulling, report
from agent.compare.asking import AskError
from agent.compare.laboratory import Laboratory
from agent.compare.machine import machine
from agent.compare.measured import Measured
from agent.compare.plan import Plan, plan_of
from agent.compare.pulling import Program
from agent.compare.workplace import Workplace
from agent.config.load import Config
from agent.errors import AgentError, ConfigError

LAST_WORDS_S: Final = 0.3


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
    try:
        measured = _measured(plan, program)
        run = report.Run(plan, program, machine(), begun_s, measured)
        print(report.text(run), end="", file=out, flush=True)
        if directory:
            report.write(directory, run)
    except BrokenPipeError:
        raise  # whoever read the table has enough
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise AgentError(f"{where}{error.strerror or error}") from None
    return 0


def _measured(plan: Plan, program: Program) -> list[Measured]:
    """When this returns, nothing runs any more."""
    with Workplace() as place:
        try:
            laboratory = Laboratory(plan, place, program)
            laboratory.start()
            return [laboratory.measure(scenario) for scenario in plan.scenarios]
        except AskError:
            place.pause(LAST_WORDS_S)  # where the one that does not answer has ended, this says so
            raise
