"""What ingest hands to its shell: a transaction, and the answers that are due once it is durable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from agent.aggregator.lanes import Gap, Key, Lane, Place


class Stored(NamedTuple):
    """One record to store; ``payload`` is the shell's."""

    place: Place
    number: int
    sid: bytes
    seq: int
    payload: object


class Commit(NamedTuple):
    """One transaction. ``lanes`` are the new values of those that changed; None: forgotten."""

    records: tuple[Stored, ...]
    gaps: tuple[Gap, ...]
    lanes: Mapping[Place, Lane | None]
    greeted: tuple[int, ...]  # the streams whose Hello it has


class State(NamedTuple):
    key: Key
    committed: int
    closed: bool = False


class Welcome(NamedTuple):
    stream: int
    states: tuple[State, ...]


class Ack(NamedTuple):
    stream: int
    states: tuple[State, ...]
