"""Free pages in the CPUs' lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Malformed
from agent.sources.zoneinfo import parse_per_cpu_pages

ZONEINFO = b"""\
Node 0, zone      DMA
  pages free     3840
        min      175
  pagesets
    cpu: 0
              count:    0
              high:     28
              batch:    1
    cpu: 1
              count:    57
              high:     28
  vm stats threshold: 8
Node 0, zone   Normal
    cpu: 0
              count:    6917
"""


def test_all_cpus_of_all_zones() -> None:
    """Counts, and nothing else that looks like one."""
    assert parse_per_cpu_pages(ZONEINFO) == 6974


def test_without_lists() -> None:
    """Not 0: unknown."""
    with pytest.raises(Malformed):
        parse_per_cpu_pages(b"Node 0, zone      DMA\n  pages free     3840\n")


@given(st.binary())
def test_any_bytes(buf: bytes) -> None:
    """A number, or Malformed."""
    try:
        assert parse_per_cpu_pages(buf) >= 0
    except Malformed:
        pass
