"""``/proc/sys/kernel/random``."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.errors import Gone, Malformed
from agent.sources.entropy import Entropy, read_entropy
from agent.sources.host import Host

RANDOM = "proc/sys/kernel/random"


def test_both_numbers_are_read(make_host: Callable[..., Host]) -> None:
    """Each from its own file."""
    host = make_host({f"{RANDOM}/entropy_avail": "3943\n", f"{RANDOM}/poolsize": "4096\n"})
    assert read_entropy(host.procfs) == Entropy(3943, 4096)


def test_a_missing_file_is_gone_and_garbage_is_malformed(make_host: Callable[..., Host]) -> None:
    """Neither is a 0."""
    host = make_host({f"{RANDOM}/entropy_avail": "3943\n"})
    with pytest.raises(Gone):
        read_entropy(host.procfs)
    host = make_host({f"{RANDOM}/poolsize": "large\n"})
    with pytest.raises(Malformed, match="poolsize"):
        read_entropy(host.procfs)
