"""How much randomness the kernel has at hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.model import Declared, Family, Part, Writer
from agent.sources.entropy import read_entropy
from agent.sources.host import Host

AVAILABLE = Family("node_entropy_available_bits", "gauge", "Bits of available entropy.")
POOL_SIZE = Family("node_entropy_pool_size_bits", "gauge", "Bits of entropy pool.")


class Entropy:
    name: Final = "entropy"
    part: Final[Part] = "node"
    families: Final[Declared] = (AVAILABLE, POOL_SIZE)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._procfs = host.procfs

    def collect(self, out: Writer) -> None:
        entropy = read_entropy(self._procfs)
        out.one(AVAILABLE, entropy.available_bits)
        out.one(POOL_SIZE, entropy.pool_bits)
