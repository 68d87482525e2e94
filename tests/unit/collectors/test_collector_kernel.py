"""The collectors of single numbers of the kernel: ``entropy``, ``filefd`` and ``kernel_hung``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.collectors.entropy import Entropy
from agent.collectors.filefd import Filefd
from agent.collectors.kernel_hung import KernelHung
from agent.errors import Gone, Malformed
from agent.sources.host import Host

RANDOM = "proc/sys/kernel/random"
FILES = {
    f"{RANDOM}/entropy_avail": "250\n",
    f"{RANDOM}/poolsize": "256\n",
    "proc/sys/fs/file-nr": "1152\t0\t2466183\n",
    "proc/sys/kernel/hung_task_detect_count": "0\n",
}


@pytest.mark.parametrize(
    ("kind", "samples"),
    [
        (Entropy, {"node_entropy_available_bits": 250, "node_entropy_pool_size_bits": 256}),
        (Filefd, {"node_filefd_allocated": 1152, "node_filefd_maximum": 2466183}),
        (KernelHung, {"node_kernel_hung_tasks_total": 0}),
    ],
)
def test_numbers_are_told_as_they_are(
    make_host: Callable[..., Host], collect: Any, kind: type[Any], samples: dict[str, float]
) -> None:
    """Each under its own name; 0 is told."""
    assert collect(kind(make_host(FILES), {})) == samples


@pytest.mark.parametrize("kind", [Entropy, Filefd, KernelHung])
def test_missing_is_gone_and_garbage_is_malformed(
    make_host: Callable[..., Host], collect: Any, kind: type[Any]
) -> None:
    """Neither becomes 0."""
    with pytest.raises(Gone):
        collect(kind(make_host({}), {}))
    with pytest.raises(Malformed):
        collect(kind(make_host(dict.fromkeys(FILES, "?")), {}))
