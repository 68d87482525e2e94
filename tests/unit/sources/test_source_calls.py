"""What the kernel and the C library are asked."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.sources.calls import SystemCalls


def zone_file(name: bytes, offset_s: int) -> bytes:
    """A tzfile(5) of one zone that is always the same."""
    head = b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 1, len(name) + 1)
    body = struct.pack(">lbb", offset_s, 0, 0) + name + b"\0"
    return head + body + head + body + b"\n\n"


@pytest.fixture
def own_zone() -> Iterator[None]:
    """Puts back the zone of this process."""
    before = os.environ.get("TZ")
    yield
    os.environ.pop("TZ", None)
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.parametrize(
    ("name", "shown"), [(b"CET", "CET"), (b'A"\n', 'A"\n'), ("\xc4".encode(), "\xc4"), (b"\xffA", "\\xffA")]
)
def test_the_nodes_zone_is_its_own(tmp_path: Path, own_zone: None, name: bytes, shown: str) -> None:
    """It is read from the node's root, whatever it is called: its name is a label, and text in the end."""
    (tmp_path / "localtime").write_bytes(zone_file(name, 3600))
    calls = SystemCalls("/proc", str(tmp_path), f"{tmp_path}/localtime")
    assert calls.timezone() == (shown, 3600)
