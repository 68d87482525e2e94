"""How a node's disks are laid out."""

from __future__ import annotations

from typing import Any

import pytest

from agent.eviction.layout import Layout, layout_of
from agent.sources.kubelet.summary import parse_summary
from tests.kubelet.bodies import body
from tests.unit.eviction.pod_documents import summary_of

ONE = {"capacityBytes": 1000, "inodes": 10}
OTHER = {"capacityBytes": 2000, "inodes": 10}
OTHER_INODES = {"capacityBytes": 1000, "inodes": 20}


@pytest.mark.parametrize(
    ("node", "layout"),
    [
        ({"fs": ONE, "runtime": {"imageFs": ONE, "containerFs": ONE}}, "single"),
        ({"fs": ONE, "runtime": {"imageFs": ONE}}, "single"),
        ({"fs": ONE, "runtime": {"imageFs": OTHER, "containerFs": OTHER}}, "dedicated"),
        ({"fs": ONE, "runtime": {"imageFs": OTHER}}, "dedicated"),
        ({"fs": ONE, "runtime": {"imageFs": OTHER_INODES, "containerFs": OTHER_INODES}}, "dedicated"),
        ({"fs": ONE, "runtime": {"imageFs": OTHER, "containerFs": ONE}}, "split"),
        ({"fs": ONE, "runtime": {"imageFs": ONE, "containerFs": OTHER}}, "split"),
        ({"fs": ONE}, "single"),
        ({"runtime": {"imageFs": OTHER}}, "single"),
        ({}, "single"),
    ],
)
def test_sizes_tell_filesystems_apart(node: Any, layout: Layout) -> None:
    """What is not said makes no second filesystem."""
    assert layout_of(summary_of([], node).node) == layout


@pytest.mark.parametrize(
    ("recording", "dedicated", "layout"),
    [
        ("imagefs-is-nodefs", None, "single"),
        ("imagefs-is-nodefs", False, "single"),
        ("idle", None, "single"),  # twins: 1 GiB each
        ("idle", True, "dedicated"),
    ],
)
def test_devices_tell_twins_apart(recording: str, dedicated: bool | None, layout: Layout) -> None:
    """Two filesystems of one size are taken for one, unless somebody looked at the devices."""
    assert layout_of(parse_summary(body(recording, "stats_summary")).node, dedicated) == layout


def test_devices_decide_between_one_and_two() -> None:
    """A summary may be older than a mount; that writable layers are elsewhere is only in the summary."""
    node = summary_of([], {"fs": ONE, "runtime": {"imageFs": OTHER}}).node
    assert (layout_of(node, True), layout_of(node, False)) == ("dedicated", "single")
    split = summary_of([], {"fs": ONE, "runtime": {"imageFs": OTHER, "containerFs": ONE}}).node
    assert (layout_of(split, True), layout_of(split, False)) == ("split", "split")
