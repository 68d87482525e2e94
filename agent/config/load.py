"""Defaults < TOML file < environment < flags, each value with its origin; unknown keys name the nearest known one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from agent.config.setting import Setting
from agent.errors import ConfigError

NOT_SETTINGS: Final = ("HEADROOM_CONFIG",)


class Config:
    """The effective values. ``config["path.procfs"]``; ``origin`` says where one came from."""

    def __init__(self, settings: Sequence[Setting]) -> None:
        self._settings = {setting.key: setting for setting in settings}
        self._values: dict[str, Any] = {setting.key: setting.default for setting in settings}
        self._origins: dict[str, str] = dict.fromkeys(self._values, "default")

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def origin(self, key: str) -> str:
        return self._origins[key]

    def section(self, prefix: str) -> dict[str, Any]:
        """The settings below a prefix, by the rest of their key."""
        start = prefix + "."
        return {key.removeprefix(start): value for key, value in self._values.items() if key.startswith(start)}

    def __iter__(self) -> Iterator[Setting]:
        return iter(self._settings.values())

    def set(self, key: str, given: object, where: str) -> None:
        """Raises ConfigError for an unknown key or a bad value."""
        setting = self._settings.get(key)
        if setting is None:
            raise ConfigError(f"{where}: no such setting{nearest(key, self._settings)}")
        self._values[key] = setting.parse(given, where)
        self._origins[key] = where


def load(settings: Sequence[Setting], file: str, environ: Mapping[str, str], flags: Mapping[str, object]) -> Config:
    """``flags`` are by key, as given. Raises ConfigError, one line."""
    config = Config(settings)
    if file:
        for key, given in _toml(file):
            config.set(key, given, f"{file}: {key}")
    variables = {setting.variable: setting.key for setting in settings}
    for name in sorted(environ):
        if name.startswith("HEADROOM_") and name not in NOT_SETTINGS:
            if name not in variables:
                raise ConfigError(f"environment variable {name}: no such setting{nearest(name, variables)}")
            config.set(variables[name], environ[name], f"environment variable {name}")
    by_key = {setting.key: setting for setting in settings}
    for key, given in flags.items():
        config.set(key, given, f"flag {by_key[key].flag}")
    return config


def nearest(name: str, known: Mapping[str, object] | Sequence[str]) -> str:
    """``; did you mean X?`` or nothing."""
    from difflib import get_close_matches  # only for a mistake

    # what switches a collector on is one key below its name, though its flag is the name alone
    found = [key for key in known if key in (f"{name}.enabled", f"{name}_ENABLED")]
    found = found or get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {found[0]}?" if found else ""


def _toml(path: str) -> Iterator[tuple[str, object]]:
    import tomllib  # only with a file

    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    yield from _flat("", document)


def _flat(prefix: str, table: dict[str, Any]) -> Iterator[tuple[str, object]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(f"{prefix}{name}.", value)
        else:
            yield prefix + name, value
