"""How far one session has come: what the aggregator has of it, and what to send next. Pure.

A file is entered at its header and its first record, since nothing before it is needed to read it; whatever cannot be
read any more, for whatever reason, is declared lost in its turn.
"""

from __future__ import annotations

from agent.push.commands import Reason, SendHeader, SendLost, SendRecord
from agent.push.held import File, Held


class Cursor:
    """``acked`` is the last record that the aggregator has; ``listed`` whether it may be sent on this stream."""

    __slots__ = ("_file", "_next", "acked", "held", "listed", "reason")

    def __init__(self, held: Held) -> None:
        self.held = held
        self.acked = 0
        self.listed = False
        self.reason: Reason | None = None  # why the last of what is gone went, where anybody knows
        self._next = 1
        self._file: int | None = None  # the first record of the file that this stream is in

    @property
    def unacked(self) -> int:
        return self.held.last - self.acked

    @property
    def in_flight(self) -> int:
        """Negative while a file is sent again from its start."""
        return self._next - 1 - self.acked

    @property
    def live(self) -> bool:
        return not self.held.sealed

    @property
    def bad(self) -> int:
        """The first record of the live session's current file when that cannot be read to its end, else 0."""
        files = self.held.files
        return files[-1].first if self.live and files and files[-1].damaged else 0

    def enter(self, committed: int) -> None:
        """The Welcome is the only truth, lower or higher than what was believed."""
        self.acked = self._possible(committed)
        self._next = self.acked + 1
        self._file = None
        self.listed = True

    def leave(self) -> None:
        self.listed = False

    def ack(self, committed: int) -> bool:
        """Whether it says anything new."""
        possible = self._possible(committed)
        if possible <= self.acked:
            return False
        self.acked = possible
        return True

    def _possible(self, committed: int) -> int:
        return max(0, min(committed, self.held.last))

    def appended(self, seq: int) -> None:
        files = self.held.files
        if files and not files[-1].damaged and files[-1].readable == seq - 1:
            files = files[:-1] + (files[-1]._replace(readable=seq),)
        self.held = self.held._replace(last=seq, files=files)

    def unreadable(self, seq: int, reason: Reason) -> None:
        """The record that was just to be sent cannot be: the rest of its file goes with it."""
        cut = [_cut(one, seq) if one.first <= seq <= one.readable else one for one in self.held.files]
        self.held = self.held._replace(files=tuple(cut))
        self.reason = reason
        self._next = min(self._next, seq)
        self._file = None

    def step(self) -> SendHeader | SendRecord | SendLost | None:
        """The next thing to send, as if it were sent."""
        file = self._file_of(self._next)
        if file is None and self._next <= self.acked:  # reclaimed while it was sent again
            self._next = self.acked + 1
            file = self._file_of(self._next)
        if self._next > self.held.last:
            return None
        if file is None:
            return self._lost()
        if self._file != file.first:
            self._file = self._next = file.first
            return SendHeader(self.held.key, file.first)
        self._next += 1
        return SendRecord(self.held.key, self._next - 1)

    def _file_of(self, seq: int) -> File | None:
        return next((one for one in reversed(self.held.files) if one.first <= seq <= one.readable), None)

    def _lost(self) -> SendLost:
        first = self._next
        later = [one.first for one in self.held.files if first < one.first <= one.readable]
        last = min(later) - 1 if later else self.held.last
        before = [one for one in self.held.files if one.first <= first]
        reason: Reason = "CORRUPT" if before and before[-1].damaged and not self.reason else self.reason or "SPOOL_FULL"
        self._next, self._file = last + 1, None
        return SendLost(self.held.key, first, last, reason)


def _cut(file: File, seq: int) -> File:
    return file._replace(readable=seq - 1, damaged=True)
