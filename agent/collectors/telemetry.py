"""What the agent counts about itself while it serves: its HTTP requests, and later its spool and stream."""

from __future__ import annotations

from collections.abc import Sequence

from agent.model import Declared, Part, Writer
from agent.telemetry import Instrument


class Telemetry:
    """Made by the composition root, which knows the instruments; not in the catalog, because it reads no machine."""

    name = "telemetry"
    part: Part = "headroom"

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._instruments = tuple(instruments)
        self.families: Declared = tuple(instrument.family for instrument in instruments)

    def collect(self, out: Writer) -> None:
        for instrument in self._instruments:
            instrument.write(out)
