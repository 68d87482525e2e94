"""The collector ``selinux``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agent.collectors.selinux import Selinux
from agent.errors import Gone, Malformed
from agent.sources.host import Host

ENFORCING = {
    "sys/fs/selinux/enforce": "1",
    "proc/self/attr/current": "system_u:system_r:spc_t:s0\0",
    "root/etc/selinux/config": "SELINUX=permissive\nSELINUXTYPE=targeted\n",
}


def test_a_node_without_it_says_only_that(make_host: Callable[..., Host], collect: Any) -> None:
    """The modes are absent, not 0, which would mean permissive."""
    samples = collect(Selinux(make_host({"sys/fs/cgroup/.keep": ""}), {}))
    assert samples == {"node_selinux_enabled": 0}
    assert samples.errors == []


def test_a_node_with_it_says_what_was_configured_and_what_is(make_host: Callable[..., Host], collect: Any) -> None:
    """Someone switched it to enforcing after boot."""
    assert collect(Selinux(make_host(ENFORCING), {})) == {
        "node_selinux_enabled": 1,
        "node_selinux_config_mode": 0,
        "node_selinux_current_mode": 1,
    }


def test_a_mode_that_cannot_be_read_is_left_out(make_host: Callable[..., Host], collect: Any) -> None:
    """No configuration in the tree we see, and garbage from the kernel: each costs itself."""
    files = {name: content for name, content in ENFORCING.items() if "config" not in name}
    samples = collect(Selinux(make_host(files | {"sys/fs/selinux/enforce": "?"}), {}))
    assert samples == {"node_selinux_enabled": 1}
    assert [type(error) for error in samples.errors] == [Gone, Malformed]
