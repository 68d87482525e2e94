"""The collector ``os``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.collectors.os_release import OsRelease
from agent.errors import Gone, Malformed
from agent.sources.host import Host
from tests.unit.conftest import FakeCalls

DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n'


def _values(samples: dict[str, float], family: str) -> list[float]:
    return [value for series, value in samples.items() if series.partition("{")[0] == family]


def test_debian_has_a_name_and_a_version(make_host: Callable[..., Host], collect: Any) -> None:
    """What it does not say is an empty label; there is no end of support."""
    assert collect(OsRelease(make_host({"root/etc/os-release": DEBIAN}), {})) == {
        'node_os_info{build_id="",id="debian",id_like="",image_id="",image_version="",name="Debian GNU/Linux",'
        'pretty_name="Debian GNU/Linux 12 (bookworm)",variant="",variant_id="",version="",version_codename="",'
        'version_id="12"}': 1,
        'node_os_version{id="debian",id_like="",name="Debian GNU/Linux"}': 12,
    }


@pytest.mark.parametrize(
    ("version_id", "version"),
    [("24.04", [24.04]), ("24.04.1", [24.04]), ("15.", [15.0]), ("9-rc1", [9.0]), ("0", []), ("", []), ("rolling", [])],
)
def test_the_version_is_major_and_minor(
    make_host: Callable[..., Host], collect: Any, version_id: str, version: list[float]
) -> None:
    """A rolling distribution has none."""
    samples = collect(OsRelease(make_host({"root/etc/os-release": f'VERSION_ID="{version_id}"\n'}), {}))
    assert _values(samples, "node_os_version") == version


def test_the_end_of_support_is_midnight_utc(make_host: Callable[..., Host], collect: Any) -> None:
    """A date as Fedora writes it."""
    samples = collect(OsRelease(make_host({"root/etc/os-release": "SUPPORT_END=2024-05-14\n"}), {}))
    assert _values(samples, "node_os_support_end_timestamp_seconds") == [1715644800]


def test_a_bad_date_costs_only_itself(make_host: Callable[..., Host], collect: Any) -> None:
    """The rest is still told."""
    samples = collect(OsRelease(make_host({"root/etc/os-release": DEBIAN + "SUPPORT_END=soon\n"}), {}))
    assert len(samples) == 2
    assert [type(error) for error in samples.errors] == [Malformed]


def test_an_upgrade_is_seen_within_a_minute(
    make_host: Callable[..., Host], calls: FakeCalls, collect: Any, tmp_path: Path
) -> None:
    """Whether the file is replaced by another or rewritten in place; looking for it costs once in a minute."""
    collector = OsRelease(make_host({"root/etc/os-release": "VERSION_ID=11\n"}), {})
    assert _values(collect(collector), "node_os_version") == [11]
    make_host({"root/etc/os-release.new": "VERSION_ID=12\n"})
    os.replace(tmp_path / "root/etc/os-release.new", tmp_path / "root/etc/os-release")
    assert _values(collect(collector), "node_os_version") == [11]
    calls.now_monotonic_s += 61
    assert _values(collect(collector), "node_os_version") == [12]
    make_host({"root/etc/os-release": "VERSION_ID=13.5\n"})
    calls.now_monotonic_s += 61
    assert _values(collect(collector), "node_os_version") == [13.5]


def test_an_unchanged_file_is_not_read_again(make_host: Callable[..., Host], collect: Any) -> None:
    """Seeing that it is unchanged is enough."""
    host = make_host({"root/etc/os-release": DEBIAN})
    reads: list[str] = []

    class Counted:
        resolve = staticmethod(host.rootfs.resolve)
        __truediv__ = host.rootfs.__class__.__truediv__
        path = host.rootfs.path

        def read_once(self, path: str) -> bytes:
            reads.append(path)
            return DEBIAN.encode()

    host.rootfs = Counted()
    collector = OsRelease(host, {})
    assert collect(collector) == collect(collector)
    assert reads == ["etc/os-release"]


def test_a_node_without_the_file_is_gone(make_host: Callable[..., Host], collect: Any) -> None:
    """Even after it was there."""
    with pytest.raises(Gone):
        collect(OsRelease(make_host({}), {}))
