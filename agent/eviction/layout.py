"""How a node's disks are laid out, which decides what of a pod counts for which disk signal.

``single``: one filesystem for all. ``dedicated``: images, and writable layers with them, have another filesystem than
the kubelet's directory. ``split``: images have another one, writable layers stay with the kubelet's directory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # the parsers load only with a kubelet
    from agent.sources.kubelet.summary import Filesystem, NodeStats

Layout = Literal["single", "dedicated", "split"]


def layout_of(node: NodeStats, dedicated: bool | None = None) -> Layout:
    """What the kubelet's summary shows; ``dedicated`` is whether the devices differ, where somebody could look.

    A summary names no devices: two filesystems are told apart by their sizes. Twins are taken for one.
    """
    nodefs, images, layers = (_size(fs) for fs in (node.fs, node.image_fs, node.container_fs))
    if layers is not None and layers != images:
        return "split"
    if dedicated is None:
        dedicated = nodefs is not None and images is not None and nodefs != images
    return "dedicated" if dedicated else "single"


def _size(fs: Filesystem | None) -> tuple[int | None, int | None] | None:
    return None if fs is None else (fs.capacity_bytes, fs.inodes)
