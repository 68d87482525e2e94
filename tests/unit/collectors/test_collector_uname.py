"""The collector ``uname``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from agent import __version__
from agent.collectors.uname import Uname
from agent.errors import Unsupported
from agent.sources.calls import Uname as Answer
from agent.sources.host import Host


def _series(nodename: str) -> str:
    labels = f'sysname="Linux",release="6.1.0-28",version="#1 SMP",machine="aarch64",nodename="{nodename}"'
    return f'node_uname_info{{{labels},domainname="example"}}'


@pytest.mark.parametrize(
    ("sees_host_name", "node_name", "nodename"),
    [(True, "", "from-uname"), (True, "configured", "from-uname"), (False, "configured", "configured")],
)
def test_the_nodename_is_the_nodes(
    make_host: Callable[..., Host], collect: Any, calls: Any, sees_host_name: bool, node_name: str, nodename: str
) -> None:
    """The kernel's answer where it is the node's, else the configured name."""
    calls.name = Answer("Linux", "from-uname", "6.1.0-28", "#1 SMP", "aarch64", "example")
    calls.sees_host_name = sees_host_name
    samples = collect(Uname(make_host({}, node_name=node_name), {}))
    assert {name: samples[name] for name in samples if name.startswith("node_uname")} == {_series(nodename): 1}


def test_a_pod_that_is_not_told_its_node_says_nothing(make_host: Callable[..., Host], collect: Any, calls: Any) -> None:
    """The reason names the cure."""
    calls.sees_host_name = False
    with pytest.raises(Unsupported, match="--node-name"):
        collect(Uname(make_host({}), {}))


@pytest.mark.parametrize(("machine", "arch"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("riscv64", "riscv64")])
def test_dashboards_find_the_build(
    make_host: Callable[..., Host], calls: Any, collect: Any, machine: str, arch: str
) -> None:
    """Under node_exporter's name, with our version and language."""
    calls.name = Answer("Linux", "n", "6.1", "#1", machine, "(none)")
    language = "python" + ".".join(map(str, sys.version_info[:3]))
    labels = (
        f'branch="",goarch="{arch}",goos="linux",goversion="{language}",revision="",tags="",version="{__version__}"'
    )
    assert collect(Uname(make_host({}), {}))[f"node_exporter_build_info{{{labels}}}"] == 1
