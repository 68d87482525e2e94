"""udev's records of block devices."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Gone
from agent.sources.root import Root
from agent.sources.udev import parse_udev_properties, read_udev_data

RECORD = b"S:disk/by-id/x\nW:12\nE:ID_ATA=1\nE:ID_MODEL=A=B\nE:EMPTY=\nE:ID_VENDOR=\xff\xfe\nG:systemd\nE:broken\n"


def test_only_properties_count() -> None:
    """Links, priorities and tags are not; a value may hold an equals sign, or nothing, or bytes that are no text."""
    assert parse_udev_properties(RECORD) == {"ID_ATA": "1", "ID_MODEL": "A=B", "EMPTY": "", "ID_VENDOR": "\ufffd\ufffd"}


def test_a_record_is_found_by_the_number_of_its_device(tmp_path: Path) -> None:
    """``b8:16`` is the block device 8:16; one that udev does not know is Gone."""
    (tmp_path / "b8:16").write_bytes(RECORD)
    assert read_udev_data(Root(str(tmp_path)), 8, 16) == RECORD
    with pytest.raises(Gone):
        read_udev_data(Root(str(tmp_path)), 8, 17)


@given(st.binary())
def test_any_bytes_are_properties_that_can_be_shown(buf: bytes) -> None:
    """None of them keeps a scrape from being encoded."""
    for name, value in parse_udev_properties(b"E:" + buf).items():
        assert (name + value).encode()
