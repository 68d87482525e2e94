"""What the aggregator knows of nodes and of their sessions, beside their lanes: what it stores, and what it shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from agent.aggregator.lanes import Gap, Lane, Place

NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?", re.ASCII)


def id_of(cluster: str, name: str) -> str:
    """The node of a ``Place``: neither part may have a slash."""
    return f"{cluster}/{name}"


class Node(NamedTuple):
    """A node that has spoken. ``seen_unix_ms`` is when its newest tick came, by our clock; 0: none has.
    ``left``: it said goodbye."""

    cluster: str
    name: str
    seen_unix_ms: int = 0
    interval_ms: int = 0
    agent_version: str = ""
    left: bool = False

    @property
    def id(self) -> str:
        return id_of(self.cluster, self.name)


class Session(NamedTuple):
    """Which session of whose lane."""

    place: Place
    number: int


class Tally(NamedTuple):
    """What came of a session. ``records`` are stored, ``duplicates`` came again, ``refused`` cannot be read."""

    sid: bytes
    committed: int = 0
    records: int = 0
    duplicates: int = 0
    refused: int = 0
    seen_unix_s: int = 0


class Stow(NamedTuple):
    """A record as it came, and what is needed to read it: the header of its file, as one zlib stream."""

    record: bytes
    first: int
    header: bytes
    unix_ms: int


class Declared(NamedTuple):
    """A gap and when it became known."""

    unix_s: int
    gap: Gap


class Durable(NamedTuple):
    """What a store opens with. ``events`` are records of the events lane, with their node, the oldest first."""

    store_id: bytes
    lanes: Mapping[Place, Lane]
    nodes: tuple[Node, ...]
    tallies: Mapping[Session, Tally]
    gaps: tuple[Declared, ...]
    events: tuple[tuple[str, bytes], ...]
