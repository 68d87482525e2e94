"""What a stream is in the middle of, after its Hello."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from agent.aggregator.known import Session
from agent.aggregator.lanes import Listed, Place
from agent.aggregator.views import View
from agent.wire.decoder import Decoder


class File(NamedTuple):
    """Where a session is on a stream. ``decoder`` is None in the events lane."""

    first: int
    header: bytes
    decoder: Decoder | None


class Peer:
    """A stream after its Hello. ``broken`` are the files of which a record was refused."""

    def __init__(self, stream: int, view: View, boot_id: bytes, listed: tuple[Listed, ...]) -> None:
        self.stream = stream
        self.view = view
        self.boot_id = boot_id
        self.sessions = {one.sid: one for one in listed}
        self.files: OrderedDict[bytes, File] = OrderedDict()
        self.broken: set[bytes] = set()

    def enter(self, sid: bytes, file: File, most: int) -> None:
        """Begins a file. Where there are too many, one of a sealed session is let go first: those come in turn, while a
        live one goes on in its file."""
        self.files[sid] = file
        self.files.move_to_end(sid)
        while len(self.files) > most:
            oldest = min(list(self.files)[:-1], key=lambda one: not self.sessions[one].sealed)
            del self.files[oldest]

    def session(self, sid: bytes) -> Session:
        key = self.sessions[sid].key
        return Session(Place(self.view.node.id, key.spool_id, key.lane), key.number)
