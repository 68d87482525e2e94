"""``--profile``: what is served beside the exporters that a cluster has, and what in their place."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent import collectors
from agent.collectors import CATALOG
from agent.config.load import Config, load
from agent.engine import Engine
from agent.errors import ConfigError
from agent.httpd.message import Request
from agent.pull.pages import Pages
from agent.settings import HOST
from agent.sources.host import Host

EVERYONES = ("headroom_", "process_")
READABLE = {
    "proc/meminfo": "MemTotal: 1000 kB\nMemFree: 500 kB\nMemAvailable: 600 kB\n",
    "proc/loadavg": "0.1 0.2 0.3 1/234 99\n",
    "proc/sys/kernel/pid_max": "32768\n",
    "proc/sys/kernel/threads-max": "60000\n",
}


def settings(**given: object) -> Config:
    declared = (*HOST, *collectors.settings())
    keys = {key.replace("__", "."): value for key, value in given.items()}
    return load(declared, "", {}, {"kubelet.url": "https://127.0.0.1:10250", **keys})


def enabled(**given: object) -> set[str]:
    config = settings(**given)
    return {entry.name for entry in CATALOG if collectors.is_wanted(entry.name, config)}


def test_replace_is_everything_that_is_on_by_default() -> None:
    """The default profile, and the other by its name, change nothing of the defaults of the collectors."""
    assert enabled() == enabled(profile="replace") == {entry.name for entry in CATALOG if entry.enabled}


def test_beside_serves_what_nobody_else_does() -> None:
    """Eviction, the storage of pods, the agent itself and the processes that it was told to look for."""
    assert enabled(profile="beside") == {"eviction", "pod_storage", "agent", "named_processes"}


@pytest.mark.parametrize("entry", [entry for entry in CATALOG if entry.beside], ids=lambda entry: entry.name)
def test_no_name_of_another_exporter_is_served_beside_it(entry: collectors.Entry) -> None:
    """Every family of such a collector is ours by its name, or what each process tells about itself."""
    assert [family.name for family in entry.load().families if not family.name.startswith(EVERYONES)] == []


def test_a_switch_that_somebody_set_holds_in_any_profile() -> None:
    """A profile only changes defaults: one more series, or one less, is a flag as always."""
    more = enabled(profile="beside", collector__pod_state__enabled="true", collector__cpu__enabled="true")
    assert more == enabled(profile="beside") | {"pod_state", "cpu"}
    assert enabled(profile="beside", collector__eviction__enabled="false") == enabled(profile="beside") - {"eviction"}
    assert enabled(profile="beside", **{"collector__disable-defaults": "true"}) == set()


def test_another_profile_is_refused() -> None:
    """With the two that there are."""
    with pytest.raises(ConfigError, match="not one of replace, beside"):
        settings(profile="both")


@pytest.mark.parametrize(("files", "status"), [(READABLE, 200), ({}, 503)], ids=["a node", "nothing is mounted"])
def test_beside_others_it_is_ready_when_an_eviction_signal_is_read(
    make_host: Callable[..., Host], files: dict[str, str], status: int
) -> None:
    """Its main job is another than that of an agent that serves the node's CPU and memory."""
    host = make_host(files)
    config = settings(profile="beside", **{"kubelet.url": ""})
    pages = Pages(Engine(collectors.build(config, host), host.calls))
    answer = pages(Request("GET", "/readyz", "", {}, True))
    assert answer.status == status, answer.body
