"""``/proc/sys/kernel/random``: the kernel's store of randomness.

Source: <procfs>/sys/kernel/random/{entropy_avail,poolsize}, random(4). Since: 2.4; both are always 256 since 5.18 once
the generator is ready. Shape: one number each. Units: bits. Errors: Malformed. Cost: two reads, 2 us each.
"""

from __future__ import annotations

from typing import NamedTuple

from agent.sources.number import read_number
from agent.sources.root import Root


class Entropy(NamedTuple):
    available_bits: int
    pool_bits: int


def read_entropy(procfs: Root) -> Entropy:
    return Entropy(
        read_number(procfs, "sys/kernel/random/entropy_avail"), read_number(procfs, "sys/kernel/random/poolsize")
    )
