"""What a stream's messages do: decoded, shown, counted, and handed to ingest; and what is then to be stored.

Everything a stream may bring is bounded here, and a mistake of its costs it the stream (ProtocolError, Denied). A
record that cannot be decoded is refused in its place, and the rest of its file with it: a delta without what was before
it would be another value. Decoding happens in turn, one record at a time. Not shared between threads.
"""

from __future__ import annotations

import zlib
from collections import Counter
from typing import Final, NamedTuple

from agent.aggregator.answers import key_of
from agent.aggregator.commit import Ack, Commit
from agent.aggregator.commit import Welcome as Welcomed
from agent.aggregator.ingest import Ingest
from agent.aggregator.known import Declared, Durable, Node, Session, Stow, Tally
from agent.aggregator.lanes import Listed, Reason
from agent.aggregator.peer import File, Peer
from agent.aggregator.views import Speaker, View, Views
from agent.errors import ProtocolError
from agent.wire.decoder import Decoder
from agent.wire.events import Told, events_of
from agent.wire.ingest_pb2 import Header, Hello, Lost, Record
from agent.wire.limits import LIMITS, SEQUENCE_MAX
from agent.wire.record import unpack

PROTOCOL: Final = 1
FORMAT: Final = 1
FILES_MAX: Final = 4  # that one stream is in at once: the live ones and a sealed one of each lane
INTERVAL_MS_MAX: Final = 3_600_000
REASONS: Final[dict[int, Reason]] = {1: "SPOOL_FULL", 2: "CORRUPT", 3: "DISK", 4: "DISK_PRESSURE", 6: "REJECTED"}


class Due(NamedTuple):
    """One transaction, with what goes with it."""

    commit: Commit
    nodes: tuple[Node, ...]
    tallies: dict[Session, Tally]


class Intake:
    """Times are our wall clock. Raises ProtocolError for what breaks the protocol."""

    def __init__(self, durable: Durable) -> None:
        self.ingest = Ingest(durable.lanes)
        self.views = Views(durable)
        self.waiting = 0  # records for the next commit
        self._peers: dict[int, Peer] = {}
        self._nodes: set[str] = set()  # whose row is to be written again
        self._again: set[Session] = set()  # whose duplicates are
        self._due: Due | None = None
        for node, record in durable.events:
            self._remember(node, record)

    def _remember(self, node: str, record: bytes) -> None:
        try:
            told = events_of(unpack(record).body)
        except ProtocolError:
            return
        for event in told:
            self.views.events.add(node, event)

    def hello(self, stream: int, cluster: str, name: str, hello: Hello, now_ms: int) -> View:
        """``cluster`` and ``name`` are what the credential allows."""
        if hello.protocol != PROTOCOL:
            raise ProtocolError(f"protocol {hello.protocol}; this is {PROTOCOL}")
        listed = tuple(Listed(key_of(one.key), one.sid, one.base, one.last, one.sealed) for one in hello.sessions)
        if any(max(one.key.number, one.base + one.last) > SEQUENCE_MAX for one in listed):
            raise ProtocolError("a session's number out of range")
        node = Node(cluster, name, 0, min(hello.interval_ms, INTERVAL_MS_MAX), hello.agent_version[:64])
        self.ingest.hello(stream, node.id, listed, now_ms // 1000)
        view = self.views.view(node)
        view.joined()
        self._peers[stream] = Peer(stream, view, hello.boot_id, listed)
        self._nodes.add(node.id)
        return view

    def header(self, stream: int, header: Header) -> None:
        peer = self._peers[stream]
        if header.first > SEQUENCE_MAX:
            raise ProtocolError("a file out of range")
        key = key_of(header.key)
        self.ingest.header(stream, key, header.sid, header.first)
        decoder = None
        peer.broken.discard(header.sid)
        try:
            if header.format != FORMAT:
                raise ProtocolError(f"a file of format {header.format}")
            if key.lane == "samples":
                decoder = Decoder(header.schema)
        except ProtocolError:
            peer.broken.add(header.sid)
        squeezed = zlib.compress(header.SerializeToString(), 1)
        peer.enter(header.sid, File(header.first, squeezed, decoder), FILES_MAX)

    def record(self, stream: int, record: Record, now_ms: int) -> str:
        """``taken``, ``duplicate`` or ``refused``."""
        peer = self._peers[stream]
        file = peer.files.get(record.sid)
        if file is None:
            raise ProtocolError("a record outside a file")
        if record.seq > SEQUENCE_MAX:
            raise ProtocolError("a sequence out of range")
        data = record.SerializeToString()
        told, readable = self._read(peer, file, record, data)
        stow = Stow(data if readable else b"", file.first, file.header, now_ms)
        new = self.ingest.record(stream, record.sid, record.seq, stow, refused=not readable)
        if readable:
            self._show(peer, record.sid, file.decoder, told, now_ms)
        self.waiting += 1
        if readable and not new:
            self._duplicate(peer.session(record.sid), record.sid)
        return "taken" if new else "duplicate" if readable else "refused"

    def _read(self, peer: Peer, file: File, record: Record, data: bytes) -> tuple[tuple[Told, ...], bool]:
        """The events in it, and whether it can be read."""
        if record.sid in peer.broken:
            return (), False
        try:
            body = unpack(data, LIMITS).body
            if peer.sessions[record.sid].key.lane == "events":
                return events_of(body), True
            if file.decoder is None:
                raise ProtocolError("a file without a schema")
            file.decoder.apply(body)
        except ProtocolError:
            if peer.sessions[record.sid].key.lane == "samples":
                peer.broken.add(record.sid)
            return (), False
        return (), True

    def _show(self, peer: Peer, sid: bytes, decoder: Decoder | None, told: tuple[Told, ...], now_ms: int) -> None:
        for event in told:
            self.views.events.add(peer.view.node.id, event)
        if decoder and not peer.sessions[sid].sealed:
            speaker = Speaker(peer.stream, peer.session(sid), peer.boot_id)
            if peer.view.show(speaker, decoder, now_ms):
                self._nodes.add(peer.view.node.id)

    def _duplicate(self, session: Session, sid: bytes) -> None:
        """Told at once; written with the next transaction."""
        known = self.views.by_id[session.place.node].tallies
        tally = known.get(session, Tally(sid))
        known[session] = tally._replace(duplicates=tally.duplicates + 1)
        self._again.add(session)

    def lost(self, stream: int, lost: Lost) -> None:
        if lost.last > SEQUENCE_MAX:
            raise ProtocolError("a sequence out of range")
        self.ingest.lost(stream, key_of(lost.key), lost.first, lost.last, REASONS.get(lost.reason, "UNSPECIFIED"))

    def ended(self, stream: int, goodbye: bool, now_ms: int) -> None:
        peer = self._peers.pop(stream, None)
        self.ingest.ended(stream, now_ms // 1000)
        if peer:
            peer.view.ended(stream, goodbye)
            self._nodes.add(peer.view.node.id)

    def commit(self, now_ms: int) -> Due | None:
        """The next transaction; the same one again until it is ``committed``."""
        commit = self.ingest.commit()
        if commit is not None and self._due is None:
            self.waiting = 0
            nodes = tuple(self.views.by_id[id].node for id in self._nodes if id in self.views.by_id)
            self._due = Due(commit, nodes, self._tallies(commit, now_ms // 1000))
            self._nodes.clear()
        return self._due

    def committed(self, now_ms: int) -> list[Welcomed | Ack]:
        due, self._due = self._due, None
        if due is not None:
            self.views.committed(due.tallies, [Declared(now_ms // 1000, gap) for gap in due.commit.gaps])
        return self.ingest.committed()

    def _tallies(self, commit: Commit, now_s: int) -> dict[Session, Tally]:
        """Those of the sessions that this transaction changes."""
        stored = Counter(Session(one.place, one.number) for one in commit.records)
        refused: Counter[Session] = Counter()
        for gap in commit.gaps:
            refused[Session(gap.place, gap.first_number)] += gap.records or 0 if gap.reason == "REJECTED" else 0
        changed: dict[Session, Tally] = {}
        for place, lane in commit.lanes.items():
            for one in lane.open if lane else ():
                session = Session(place, one.number)
                known = self._tally(session)
                if known is None or known.committed != one.committed or session in self._again:
                    known = known or Tally(one.sid)
                    counts = (known.records + stored[session], known.duplicates, known.refused + refused[session])
                    changed[session] = Tally(one.sid, one.committed, *counts, now_s)
        self._again -= changed.keys()
        return changed

    def _tally(self, session: Session) -> Tally | None:
        view = self.views.by_id.get(session.place.node)
        return view.tallies.get(session) if view else None
