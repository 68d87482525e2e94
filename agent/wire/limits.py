"""How much a peer, or a file, may ask of us. What exceeds a limit is a ProtocolError, before it has cost more."""

from __future__ import annotations

from typing import Final, NamedTuple


class Limits(NamedTuple):
    """``slots`` counts those that ended too: an agent begins a new file before it has named so many."""

    record_bytes: int = 256 << 10  # of a serialized Record
    body_bytes: int = 1 << 20  # of its Body, before compression
    slots: int = 20_000
    families: int = 8_192
    text: int = 16 << 20  # characters of all slots' keys: one symbol may be in many
    help: int = 4_096  # characters of one HELP text


LIMITS: Final = Limits()
SID_BYTES: Final = 16
SEQUENCE_MAX: Final = (1 << 63) - 1  # what a signed 64 bit column holds
