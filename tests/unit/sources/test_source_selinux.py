"""SELinux."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Gone, Malformed
from agent.sources.host import Host
from agent.sources.selinux import DISABLED, parse_config, read_config_mode, read_current_mode, read_enabled

ENFORCE = "sys/fs/selinux/enforce"
LABEL = "proc/self/attr/current"


@pytest.mark.parametrize(
    ("files", "enabled"),
    [
        ({"sys/fs/cgroup/.keep": ""}, False),
        ({"sys/fs/selinux/.keep": ""}, False),
        ({"sys/fs/cgroup/.keep": "", LABEL: "unconfined\n"}, False),
        ({ENFORCE: "0", LABEL: "kernel\0"}, False),
        ({ENFORCE: "0", LABEL: "system_u:system_r:spc_t:s0\0"}, True),
        ({ENFORCE: "1"}, True),
    ],
)
def test_enabled_needs_selinuxfs_and_a_policy(
    make_host: Callable[..., Host], files: dict[str, str], enabled: bool
) -> None:
    """Until a policy is loaded every process is ``kernel``; a label that we may not read proves one."""
    host = make_host(files)
    assert read_enabled(host.procfs, host.sysfs) is enabled


def test_without_a_sysfs_there_is_no_telling(make_host: Callable[..., Host]) -> None:
    """A tree that is not mounted does not say that SELinux is off."""
    host = make_host({})
    with pytest.raises(Gone):
        read_enabled(host.procfs, host.sysfs)


@pytest.mark.parametrize(("enforce", "mode"), [("1", 1), ("0", 0)])
def test_the_current_mode_is_the_kernels_number(make_host: Callable[..., Host], enforce: str, mode: int) -> None:
    """Permissive is 0, and 0 is not absent."""
    assert read_current_mode(make_host({ENFORCE: enforce}).sysfs) == mode


def test_a_current_mode_that_is_no_number_is_malformed(make_host: Callable[..., Host]) -> None:
    """Nothing is made up."""
    with pytest.raises(Malformed):
        read_current_mode(make_host({ENFORCE: "on"}).sysfs)


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("# comment\nSELINUX=enforcing\nSELINUXTYPE=targeted\n", 1),
        ('  SELINUX="permissive"  \n', 0),
        ("SELINUX=disabled\n", DISABLED),
        ("#SELINUX=enforcing\nSELINUXTYPE=targeted\n", DISABLED),
        ("SELINUX=permissive\nSELINUX=enforcing\n", 0),
        ("", DISABLED),
    ],
)
def test_the_configured_mode_is_one_of_three(text: str, mode: int) -> None:
    """The first assignment counts, and anything unknown is disabled."""
    assert parse_config(text.encode()) == mode


@given(st.binary())
def test_any_bytes_give_a_mode(buf: bytes) -> None:
    """No exception escapes."""
    assert parse_config(b"SELINUX=" + buf) in (-1, 0, 1)


def test_a_missing_configuration_is_gone(make_host: Callable[..., Host]) -> None:
    """It says nothing; it does not say disabled."""
    with pytest.raises(Gone):
        read_config_mode(make_host({}).rootfs)
