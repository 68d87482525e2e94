"""``headroom eviction``: this node's eviction signals, from the agent that watches them, or read here and now.

The agent knows more: it has looked for minutes, so it has a trend and an estimate of the time left, and it knows its
kubelet. Without one this process looks itself, asks the kubelet where it is told of one, and shows no trend until it
has looked for a while (``--watch``).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any, Final, TextIO

from agent import app, log
from agent.config.load import Config
from agent.errors import ConfigError, Malformed, SourceError
from agent.eviction.report import report_of
from agent.eviction.table import table
from agent.eviction.watch import Watch
from agent.httpd.address import parse_address
from agent.pull.pages import EVICTION
from agent.sources.kubelet.client import Client, Limits
from agent.sources.kubelet.endpoint import PATHS, Endpoint, parse_endpoint
from agent.sources.kubelet.poller import Poller
from agent.sources.kubelet.trust import Trust

HERE: Final = "none"
CLEAR: Final = "\033[H\033[J"
REPAINT_S: Final = 1.0
ASK: Final = Limits(4 << 20, 2.0)
FIELDS: Final = frozenset({"node", "origin", "signals", "conditions", "limits_exceeded", "notes"})  # that are shown
SILENT: Final = ("refused", "unreachable", "timeout")

Report = dict[str, Any]


def show(config: Config, out: TextIO) -> int:
    """Prints the table once, or again and again. 1 when there is nothing to show."""
    if config.origin("log.level") == "default":
        log.configure("error", config["log.format"])  # the table itself says what happens
    reported = _from_agent(config) or _from_here(config)
    first = True
    while True:
        try:
            report = reported()
        except SourceError as error:
            if first:
                raise
            log.error("no answer; asking again", error=error)  # an agent that is replaced comes back
            time.sleep(REPAINT_S)
            continue
        if config["watch"] and out.isatty() and not config["json"]:
            print(CLEAR, end="", file=out)
        elif not first and not config["json"]:
            print(file=out)
        print(_shown(report, config, out), file=out, flush=True)
        if not config["watch"]:
            return 0 if report["signals"] else 1
        first = False
        time.sleep(REPAINT_S)


def first_look(watch: Watch, node: str, out: TextIO) -> str:
    """The table of a watch that is to run, before it does."""
    return _table(report_of(watch, node), out)


def _shown(report: Report, config: Config, out: TextIO) -> str:
    if config["json"]:
        return json.dumps(report, indent=None if config["watch"] else 1)
    return _table(report, out)


def _table(report: Report, out: TextIO) -> str:
    terminal = out.isatty()
    width = os.get_terminal_size(out.fileno()).columns if terminal else 0
    return "\n".join(table(report, colours=terminal and "NO_COLOR" not in os.environ, width=width))


def _from_agent(config: Config) -> Callable[[], Report] | None:
    """How to ask the agent; None where none is to be asked, or none answers though nobody insisted on it."""
    endpoint = _endpoint(config)
    if endpoint is None:
        return None
    client = _Client(endpoint, Trust("", config["http.tls-cert"]), config["http.token-file"], ASK)

    def ask() -> Report:
        try:
            return _report(client.get(EVICTION))
        except SourceError as error:
            raise SourceError(f"{endpoint}{EVICTION}", error.detail) from None

    try:
        ask()
    except SourceError:
        if config["ask"]:
            raise
        return None
    return ask


def _endpoint(config: Config) -> Endpoint | None:
    """Whom to ask: who is named, or who would listen on this machine by these settings."""
    if config["ask"] == HERE:
        return None
    if config["ask"]:
        try:
            return parse_endpoint(config["ask"])
        except ConfigError as error:
            raise ConfigError(str(error).replace("--kubelet.url", "--ask")) from None
    address = parse_address(config["listen"])
    host = address.host if address.is_loopback else "127.0.0.1"
    return Endpoint(bool(config["http.tls-cert"]), host, address.port) if address.port else None


class _Client(Client):
    """Another one's client, which must not show the token that is meant for the kubelet."""

    def _token(self, path: str) -> str:
        return super()._token(path) if self._token_file else ""


def _report(body: bytes) -> Report:
    """Raises Malformed when whoever answered is not an agent: what it says must make a table."""
    try:
        said = json.loads(body)
        if not isinstance(said, dict) or not said.keys() >= FIELDS:
            raise ValueError
        table(said)
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):
        raise Malformed(EVICTION, "what answers there is no Headroom agent") from None
    return said


def _from_here(config: Config) -> Callable[[], Report]:
    """A watch of our own, which looks whenever it is asked. Who watches on goes on asking the kubelet, as the agent."""
    host, asking = app.with_kubelet(config)
    if asking is not None:
        _ask_once(asking)
        if config["watch"]:
            asking.start()
    watch = Watch(host, config["kubelet.config-file"], config["kubelet.root-dir"], config["runtime.image-dir"])

    def look() -> Report:
        report = report_of(watch, config["node-name"])
        failing = asking.failing.copy() if asking is not None else {}
        report["notes"] += [
            f"The kubelet does not tell {path.path}: {failure.detail}; headroom doctor says why."
            for path, failure in failing.items()
        ]
        return report

    return look


def _ask_once(asking: Poller) -> None:
    """For every document. One that does not answer at all is not waited for again."""
    for path in PATHS:
        asking.round((path,))
        failure = asking.failing.get(path)
        if failure is not None and failure.cause in SILENT:
            return
