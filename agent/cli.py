"""``headroom COMMAND``: each command is imported only when it is asked for. Exit codes: 0 fine, 1 failed, 2 usage."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Final

from agent import __version__
from agent.errors import AgentError, ConfigError

COMMANDS: Final[dict[str, str]] = {
    "up": "run everything on this machine, no cluster needed",
    "agent": "the DaemonSet process: collect and serve this node's metrics",
    "aggregator": "the central process: take the agents' streams, store and serve them",
    "compare": "push against pull on this machine: age, bytes, CPU, what an outage costs",
    "eviction": "how far this node is from evicting pods, and who would go first",
    "spool": "what this node keeps on disk for the aggregator: ls, export",
    "doctor": "what this process may read, and what is lost without it",
}


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help", "help"):
        print(_usage())
        return 0 if given else 2
    if given[0] == "--version":
        print(f"headroom {__version__}")
        return 0
    try:
        return _command(given[0])(given[1:])
    except ConfigError as error:
        print(f"headroom {given[0]}: {error}", file=sys.stderr)
        return 2
    except AgentError as error:
        print(f"headroom {given[0]}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # as the shell has it; the commands that serve take SIGINT themselves once they do
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever read our output has enough
        return 1


def _command(name: str) -> Callable[[Sequence[str]], int]:
    if name not in COMMANDS:
        from agent.config.load import nearest

        raise ConfigError(f"no such command{nearest(name, COMMANDS)}")
    from agent import commands

    run: Callable[[Sequence[str]], int] = getattr(commands, name)
    return run


def _usage() -> str:
    lines = "\n".join(f"  {name:<10} {text}" for name, text in COMMANDS.items())
    more = "headroom COMMAND --help lists a command's flags; headroom --version"
    return f"usage: headroom COMMAND [flags]\n\n{lines}\n\n{more}"


if __name__ == "__main__":
    sys.exit(main())
