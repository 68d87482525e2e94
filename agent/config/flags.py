"""Flags from declared settings, by argparse; a mistake is one line and exit code 2."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from agent.config.load import nearest
from agent.config.setting import Setting
from agent.errors import ConfigError


class Parser(argparse.ArgumentParser):
    """argparse that raises ConfigError instead of printing its usage and leaving."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def parser_of(program: str, about: str, settings: Sequence[Setting]) -> Parser:
    """A parser with one flag per setting. What was not given is not in the namespace."""
    parser = Parser(
        prog=program,
        usage=f"{program} [flags]",
        description=about,
        epilog="A flag without a value is a switch; --no-NAME turns it off. In a TOML file and in the environment "
        "every flag is a setting too: --path.procfs is procfs in [path], and HEADROOM_PATH_PROCFS; --collector.NAME is "
        "enabled in [collector.NAME].",
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=40, width=120),
    )
    parser.add_argument("--config", metavar="FILE", default="", help="TOML file with these settings")
    parser.add_argument(
        "--print-config", action="store_true", default=False, help="show the effective values and where each came from"
    )
    for setting in settings:
        _add(parser, setting)
    return parser


def given_flags(
    parser: Parser, settings: Sequence[Setting], arguments: Sequence[str]
) -> tuple[argparse.Namespace, dict[str, object]]:
    """The flags that were given, by key. Raises ConfigError; an unknown flag names the nearest known one."""
    switches = {f"--{no}{setting.flag[2:]}" for setting in settings if setting.kind == "bool" for no in ("", "no-")}
    for flag, _ in (argument.split("=", 1) for argument in arguments if "=" in argument):
        if flag in switches:
            name = flag.removeprefix("--no-").removeprefix("--")
            raise ConfigError(f"{flag} takes no value; --no-{name} turns it off")
    namespace, unknown = parser.parse_known_args(arguments)
    if unknown:
        flags = [option for action in parser._actions for option in action.option_strings]
        name = unknown[0].partition("=")[0]
        raise ConfigError(f"no such flag: {name}{nearest(name, flags)}")
    given: dict[str, Any] = vars(namespace)
    return namespace, {setting.key: given[setting.key] for setting in settings if setting.key in given}


def _add(parser: Parser, setting: Setting) -> None:
    text = setting.help.replace("%", "%%")
    shown = ",".join(setting.default) if setting.kind == "list" else str(setting.default)
    if shown and setting.kind != "bool":
        text += f" (default: {shown})".replace("%", "%%")
    if setting.kind == "bool":
        if setting.default and "(default: " not in text:
            text = text.removesuffix(".") + " (default: enabled)."
        name = setting.flag.removeprefix("--")
        parser.add_argument(setting.flag, dest=setting.key, action="store_true", help=text)
        parser.add_argument(f"--no-{name}", dest=setting.key, action="store_false", help=argparse.SUPPRESS)
    elif setting.kind == "list":
        parser.add_argument(
            setting.flag,
            dest=setting.key,
            action="append",
            metavar="ITEM",
            help=text.removesuffix(".") + "; repeatable",
        )
    else:
        parser.add_argument(setting.flag, dest=setting.key, metavar=setting.kind.upper(), help=text)
