"""The commands that run on a node: ``agent``, ``up``, ``doctor``, ``eviction``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from agent import collectors, log
from agent.config.flags import given_flags, parser_of
from agent.config.load import Config, load
from agent.config.setting import Setting
from agent.settings import AGENT, EVICTION, HOST, LOG


def agent(arguments: Sequence[str]) -> int:
    """The DaemonSet process."""
    config = _config("agent", "Collects this node's metrics and serves them to Prometheus.", arguments)
    if config is None:
        return 0
    from agent.app import Agent

    return Agent(config).run()


def up(arguments: Sequence[str]) -> int:
    """Everything on this machine; for now the agent."""
    config = _config("up", "Runs Headroom on this machine; no cluster needed. Ctrl-C ends it.", arguments)
    if config is None:
        return 0
    from agent.app import Agent

    running = Agent(config)
    if running.watch is not None:
        from agent.show_eviction import first_look

        print(first_look(running.watch, config["node-name"], sys.stdout), end="\n\n")
    print(f"Headroom serves this node on\n  {running.url}/metrics\n  {running.url}/\nCtrl-C ends it.", flush=True)
    return running.run()


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


def _config(command: str, about: str, arguments: Sequence[str], own: tuple[Setting, ...] = ()) -> Config | None:
    """The effective settings, with logging set up; None when they were only to be shown."""
    settings: tuple[Setting, ...] = (*own, *AGENT, *HOST, *LOG, *collectors.settings())
    parser = parser_of(f"headroom {command}", about, settings)
    namespace, flags = given_flags(parser, settings, arguments)
    config = load(settings, namespace.config or os.environ.get("HEADROOM_CONFIG", ""), os.environ, flags)
    if namespace.print_config:
        for setting in config:
            print(f"{setting.key} = {config[setting.key]!r}  # {config.origin(setting.key)}")
        return None
    log.configure(config["log.level"], config["log.format"])
    return config
