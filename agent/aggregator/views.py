"""What is shown of each node: its newest tick, its state, and what came of its sessions. In memory, and pure.

Two agents may speak for one node, for a moment at an update or for long with a copied disk. One live session at a time
owns what is shown, so that values do not flap: another takes over when its tick is newer and the owner is silent, gone,
its predecessor in the spool, or of an earlier boot.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal, NamedTuple

from agent.aggregator.events import Events
from agent.aggregator.identity import unforged
from agent.aggregator.known import Declared, Durable, Node, Session, Tally
from agent.exposition.negotiate import Format
from agent.exposition.render import Renderer
from agent.model import Block, Part
from agent.wire.decoder import Decoder

State = Literal["live", "stale", "gone", "never"]
STALE_MS: Final = 45_000
GONE_MS: Final = 86_400_000
SESSIONS_MAX: Final = 256  # told of one node
GAPS_MAX: Final = 1024  # told of one node
SILENT: Final = 0  # the number of no stream
MARGIN: Final = "headroom_eviction_margin_ratio"


class Speaker(NamedTuple):
    """Who sends a tick: a live session on a stream. Streams are numbered as they come."""

    stream: int
    session: Session
    boot_id: bytes


class View:
    """One node. ``blocks`` are those of its newest tick; none before one came since our start."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.owner: Speaker | None = None
        self.streams = 0  # that are open
        self.boot_ms = 0
        self.unix_ms = 0
        self.tallies: dict[Session, Tally] = {}
        self.gaps: deque[Declared] = deque(maxlen=GAPS_MAX)
        self._decoder: Decoder | None = None
        self._renderer = Renderer()
        self._made: dict[tuple[Part | None, Format], bytes] = {}

    def state(self, now_ms: int) -> State:
        age_ms = now_ms - self.node.seen_unix_ms
        if self.node.left or age_ms > GONE_MS:
            return "gone" if self.node.seen_unix_ms else "never"
        return "live" if age_ms <= max(3 * self.node.interval_ms, STALE_MS) else "stale"

    def show(self, speaker: Speaker, decoder: Decoder, now_ms: int) -> bool:
        """Takes a live session's newest tick, if it may be shown; whether it was."""
        if not self._may_own(speaker, decoder, now_ms):
            return False
        if decoder is not self._decoder:  # another file: its keys and families are other objects
            self._decoder, self._renderer = decoder, Renderer()
        self.owner, self.boot_ms, self.unix_ms = speaker, decoder.boot_ms, decoder.unix_ms
        self.node = self.node._replace(seen_unix_ms=now_ms, left=False)
        self._made.clear()
        return True

    def _may_own(self, speaker: Speaker, decoder: Decoder, now_ms: int) -> bool:
        owner = self.owner
        if owner is None:
            return True
        if speaker.boot_id != owner.boot_id:
            return speaker.stream > owner.stream
        if decoder.boot_ms <= self.boot_ms:
            return False
        (ours, number), (theirs, its) = speaker.session, owner.session
        successor = ours == theirs and number >= its
        return successor or owner.stream in (SILENT, speaker.stream) or self.state(now_ms) != "live"

    def joined(self) -> None:
        self.streams += 1

    def ended(self, stream: int, goodbye: bool) -> None:
        """Whoever is next may take over. A goodbye of an agent that others follow is none of the node."""
        self.streams -= 1
        if self.owner and self.owner.stream == stream:
            self.owner = self.owner._replace(stream=SILENT)
            self.node = self.node._replace(left=goodbye)

    @property
    def blocks(self) -> Iterator[Block]:
        return unforged(self._decoder.blocks() if self._decoder else (), self.node.name)

    @property
    def is_shown(self) -> bool:
        return self._decoder is not None

    def text(self, part: Part | None, format: Format) -> bytes:
        return self._renderer.render((b for b in self.blocks if part in (None, b.family.part)), format)

    def gzipped(self, part: Part | None, format: Format) -> bytes:
        """Kept until the next tick: who scrapes in pairs pays once."""
        made = self._made.get((part, format))
        if made is None:
            squeezer = zlib.compressobj(1, zlib.DEFLATED, 31)
            made = squeezer.compress(self.text(part, format)) + squeezer.flush()
            self._made[part, format] = made
        return made

    def worst_margin(self) -> tuple[str, float] | None:
        """The signal nearest to its threshold, and how near."""
        found = [
            (float(value), key[block.family.labels.index("signal")])
            for block in self.blocks
            if block.family.name == MARGIN and "signal" in block.family.labels
            for key, value in zip(block.keys, block.values, strict=True)
            if value == value
        ]
        return (min(found)[1], min(found)[0]) if found else None


class Views:
    """All nodes. Not shared between threads."""

    def __init__(self, durable: Durable) -> None:
        self.events = Events()
        self.by_id = {node.id: View(node) for node in durable.nodes}
        for session, tally in durable.tallies.items():
            self._known(session.place.node).tallies[session] = tally
        for gap in durable.gaps:
            self._known(gap.gap.place.node).gaps.append(gap)

    def view(self, node: Node) -> View:
        """Of a node that speaks; what it says of itself is taken over."""
        view = self._known(node.id)
        view.node = view.node._replace(interval_ms=node.interval_ms, agent_version=node.agent_version)
        return view

    def _known(self, id: str) -> View:
        if id not in self.by_id:
            cluster, _, name = id.partition("/")
            self.by_id[id] = View(Node(cluster, name))
        return self.by_id[id]

    def committed(self, tallies: Mapping[Session, Tally], gaps: Iterable[Declared]) -> None:
        """What has become durable."""
        for session, tally in tallies.items():
            kept = self._known(session.place.node).tallies
            kept[session] = tally
            if len(kept) > SESSIONS_MAX:
                del kept[min(kept, key=lambda one: kept[one].seen_unix_s)]
        for gap in gaps:
            self._known(gap.gap.place.node).gaps.append(gap)

    def forget(self, seen_before_ms: int) -> None:
        """Nodes that did not come for so long."""
        for id, view in list(self.by_id.items()):
            if not view.streams and view.node.seen_unix_ms < seen_before_ms:
                del self.by_id[id]
                self.events.forget(id)
