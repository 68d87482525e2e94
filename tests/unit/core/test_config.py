"""Settings from four places, and what is said of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.load import Config, load
from agent.config.setting import Setting
from agent.errors import ConfigError

SETTINGS = (
    Setting("listen", "text", "127.0.0.1:9910", "Where."),
    Setting("path.procfs", "text", "/proc", "Where procfs is."),
    Setting("spool.max-bytes", "bytes", 1, "Size."),
    Setting("push.interval", "seconds", 10.0, "Interval."),
    Setting("collector.x.names", "list", (), "Names."),
    Setting("collector.x.enabled", "bool", True, "Enabled.", flag_key="collector.x"),
    Setting("collector.x.fields", "regexp", "", "Fields."),
    Setting("log.format", "text", "logfmt", "Format.", ("logfmt", "json")),
)


def loaded(toml: str = "", path: Path | None = None, environ: dict[str, str] | None = None, **flags: object) -> Config:
    file = ""
    if path is not None:
        (path / "c.toml").write_text(toml)
        file = str(path / "c.toml")
    return load(SETTINGS, file, environ or {}, {key.replace("__", "."): value for key, value in flags.items()})


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    """Each place overrides the one before, and the origin says which it was."""
    config = loaded('listen = "file"\n[path]\nprocfs = "file"\n[push]\ninterval = "1m"\n', tmp_path,
                    {"HEADROOM_LISTEN": "env", "HEADROOM_PATH_PROCFS": "env"}, listen="flag")  # fmt: skip
    assert (config["listen"], config.origin("listen")) == ("flag", "flag --listen")
    assert (config["path.procfs"], config.origin("path.procfs")) == ("env", "environment variable HEADROOM_PATH_PROCFS")
    assert config["push.interval"] == 60.0
    assert config.origin("push.interval").endswith("c.toml: push.interval")
    assert (config["log.format"], config.origin("log.format")) == ("logfmt", "default")


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("lisen = 1", "lisen: no such setting; did you mean listen?"),
        ("[path]\nprocs = ''", "path.procs: no such setting; did you mean path.procfs?"),
        ("listen = 7", "listen: 7 is not text"),
        ("[push]\ninterval = -1", "is not a duration"),
        ("[push]\ninterval = 'soon'", "such as 2s"),
        ("[spool]\nmax-bytes = '1 parsec'", "is not a size"),
        ("[collector.x]\nfields = '('", "is not a regular expression"),
        ("[collector]\nx = false", "did you mean collector.x.enabled?"),
        ("[log]\nformat = 'xml'", "is not one of logfmt, json"),
        ("[collector.x]\nenabled = 'perhaps'", "true or false"),
        ("listen = ", "is not TOML"),
    ],
)
def test_a_mistake_in_the_file_is_one_line_with_the_cure(tmp_path: Path, toml: str, said: str) -> None:
    """Unknown keys, bad values and bad TOML name the place and what was expected."""
    with pytest.raises(ConfigError) as caught:
        loaded(toml, tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_environment_variable_names_the_nearest() -> None:
    """HEADROOM_ variables are ours, so a misspelt one is an error."""
    with pytest.raises(ConfigError, match="did you mean HEADROOM_LISTEN"):
        loaded(environ={"HEADROOM_LISTN": "x"})
    with pytest.raises(ConfigError, match="did you mean HEADROOM_COLLECTOR_X_ENABLED"):
        loaded(environ={"HEADROOM_COLLECTOR_X": "false"})
    assert loaded(environ={"HEADROOM_CONFIG": "x", "PATH": "y"})["listen"] == "127.0.0.1:9910"


def test_values_have_units() -> None:
    """Sizes and durations are read with their units; lists from commas, or one by one."""
    config = loaded(environ={"HEADROOM_SPOOL_MAX_BYTES": "64MiB", "HEADROOM_COLLECTOR_X_NAMES": "a, b,"},
                    push__interval="500ms", collector__x__enabled="false")  # fmt: skip
    assert config["spool.max-bytes"] == 64 << 20
    assert config["collector.x.names"] == ("a", "b")
    assert config["push.interval"] == 0.5
    assert config.section("collector.x") == {"names": ("a", "b"), "enabled": False, "fields": ""}


def test_what_is_not_text_is_refused() -> None:
    """A name that is not UTF-8 would become a label that no scrape could be written with."""
    with pytest.raises(ConfigError, match=r"environment variable HEADROOM_LISTEN: .* is not text .*UTF-8"):
        loaded(environ={"HEADROOM_LISTEN": "\udcff"})


def test_a_missing_file_is_said() -> None:
    """A configuration file that is not there is an error, not an empty one."""
    with pytest.raises(ConfigError, match="cannot read /nowhere"):
        load(SETTINGS, "/nowhere", {}, {})
