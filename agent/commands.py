"""The commands: ``agent``, ``up``, ``doctor``, ``eviction``, ``spool`` on a node; ``aggregator``; ``compare``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from agent import collectors, log
from agent.config.flags import given_flags, parser_of
from agent.config.load import Config, load
from agent.config.setting import Setting
from agent.errors import ConfigError
from agent.settings import AGENT, EVICTION, HOST, LOG, PUSH, UP


def agent(arguments: Sequence[str]) -> int:
    """The DaemonSet process."""
    config = _config("agent", "Collects this node's metrics and serves them to Prometheus.", arguments)
    if config is None:
        return 0
    from agent.app import Agent

    return Agent(config).run()


def up(arguments: Sequence[str]) -> int:
    """Everything on this machine: agent, aggregator, and the stream between them."""
    config = _config("up", "Runs Headroom on this machine; no cluster needed. Ctrl-C ends it.", arguments, UP)
    if config is None:
        return 0
    from agent.up import up as run

    return run(config, sys.stdout)


def doctor(arguments: Sequence[str]) -> int:
    """What this process may read; 1 if the main job cannot run."""
    config = _config("doctor", "Says what this process may read and what is lost without it.", arguments)
    if config is None:
        return 0
    from agent.doctor import examine

    return examine(config, sys.stdout)


def eviction(arguments: Sequence[str]) -> int:
    """How far this node is from evicting pods, as a table."""
    about = "Shows how far this node is from evicting pods, and who would go first."
    config = _config("eviction", about, arguments, EVICTION)
    if config is None:
        return 0
    from agent.show_eviction import show

    try:
        return show(config, sys.stdout)
    except KeyboardInterrupt:
        return 0


def spool(arguments: Sequence[str]) -> int:
    """What is kept for the aggregator: shown, or taken out."""
    from agent.spool_command import ABOUT, EXPORT, run, split

    words, flags = split(arguments)
    config = _config("spool", ABOUT, flags, EXPORT)
    return 0 if config is None else run(words, config, sys.stdout)


def aggregator(arguments: Sequence[str]) -> int:
    """The central process."""
    from agent.aggregator.settings import AGGREGATOR

    about = "Takes the agents' streams, stores them, and serves them to Prometheus."
    config = _loaded("aggregator", about, arguments, (*AGGREGATOR, *LOG))
    if config is None:
        return 0
    from importlib.util import find_spec  # rarely needed

    if missing := [name for name in ("grpc", "aiohttp") if find_spec(name) is None]:
        raise ConfigError(
            f"not in this installation, which has no {' and no '.join(missing)}: pip install "
            "'headroom-agent[aggregator]', or take the image without -pull in its tag"
        )
    from agent.aggregator.main import Aggregator

    return Aggregator(config).run()


def compare(arguments: Sequence[str]) -> int:
    """Push against pull, between real processes on this machine."""
    from agent.compare.settings import ABOUT, COMPARE

    config = _loaded("compare", ABOUT, arguments, (*COMPARE, *LOG))
    if config is None:
        return 0
    from agent.compare.main import compare as run

    return run(config, sys.stdout)


def _config(command: str, about: str, arguments: Sequence[str], own: tuple[Setting, ...] = ()) -> Config | None:
    """The effective settings, with logging set up; None when they were only to be shown."""
    return _loaded(command, about, arguments, (*own, *AGENT, *PUSH, *HOST, *LOG, *collectors.settings()))


def _loaded(command: str, about: str, arguments: Sequence[str], settings: tuple[Setting, ...]) -> Config | None:
    parser = parser_of(f"headroom {command}", about, settings)
    namespace, flags = given_flags(parser, settings, arguments)
    config = load(settings, namespace.config or os.environ.get("HEADROOM_CONFIG", ""), os.environ, flags)
    if namespace.print_config:
        for setting in config:
            print(f"{setting.key} = {config[setting.key]!r}  # {config.origin(setting.key)}")
        return None
    log.configure(config["log.level"], config["log.format"])
    return config
