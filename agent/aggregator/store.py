"""The store: a directory of SQLite files, one for six hours, of which only the newest is written.

A file opens, in its first transaction, with what must outlive the others: lanes, tallies, gaps, nodes and the store's
id. So what is too old is unlinked, never deleted from; a file without that transaction was never begun. After an error
nothing is known of the connection: the next commit opens the file anew, which is how a full disk heals.
Threads: one at a time.
"""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from agent.aggregator import tables
from agent.aggregator.commit import Commit
from agent.aggregator.known import Declared, Durable, Node, Session, Tally
from agent.errors import AgentError

PERIOD_S: Final = 6 * 3600
EVENTS_MAX: Final = 4096  # records that are read again at the start
TOMBSTONE_S: Final = 2 * 86400  # after which a node that does not come is forgotten
KEPT_FILES: Final = 1  # beside a new one, whatever the clock says: what that begins with may need it to be decoded
_NAME: Final = re.compile(r"store-(\d{1,12})\.sqlite")


class StoreError(AgentError):
    """The store cannot be read or written now."""


class Store:
    """``commit`` and ``load`` raise StoreError. ``now_unix_s`` is the wall clock; where it goes back, files do not."""

    def __init__(self, directory: str, retention_s: float) -> None:
        self._directory = Path(directory)
        self._retention_s = retention_s
        self._db: sqlite3.Connection | None = None
        self._headers: set[tables.HeaderKey] = set()
        self._period = 0
        self._last: Commit | None = None  # tried, and perhaps durable
        self._turn = 0
        self._owner = os.urandom(8)
        self._lock = -1
        try:
            self._directory.mkdir(0o700, parents=True, exist_ok=True)
            self._lock = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise StoreError(f"{directory} is another process's store") from None
        except OSError as error:
            raise StoreError(f"cannot use {directory} as a store: {error.strerror}") from None

    def load(self, now_unix_s: float) -> Durable:
        try:
            db = self._current(now_unix_s)
            return Durable(
                tables.read_meta(db, "store_id"),
                tables.read_lanes(db),
                tables.read_nodes(db),
                tables.read_tallies(db),
                tables.read_gaps(db),
                tuple(reversed(self._events(db))),
            )
        except (sqlite3.Error, OSError) as error:
            self._let_go()
            raise StoreError(f"the store in {self._directory} cannot be read: {error}") from None

    def commit(
        self, commit: Commit, nodes: Sequence[Node], tallies: Mapping[Session, Tally], now_unix_s: float
    ) -> None:
        """All of it is durable, or none. The same commit again is fine where the first may have been durable."""
        if commit is not self._last:
            self._last, self._turn = commit, self._turn + 1
        try:
            db = self._current(now_unix_s)
            token = self._owner + self._turn.to_bytes(8)
            if tables.read_meta(db, "turn") == token:
                return
            db.execute("BEGIN IMMEDIATE")
            headers = tables.write_records(db, commit, self._headers)
            tables.write_lanes(db, commit.lanes)
            tables.write_gaps(db, [Declared(int(now_unix_s), gap) for gap in commit.gaps])
            tables.write_nodes(db, nodes)
            tables.write_tallies(db, tallies)
            tables.write_meta(db, "turn", token)
            db.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            self._let_go()
            raise StoreError(f"the store took nothing: {error}") from None
        self._headers |= headers

    def size_bytes(self) -> int:
        try:
            return sum(one.stat().st_size for one in self._directory.iterdir())
        except OSError:
            return 0

    def close(self) -> None:
        self._let_go()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def files(self) -> list[tuple[int, Path]]:
        """When each begins, and where it is; the oldest first."""
        found = ((_NAME.fullmatch(one.name), one) for one in self._directory.iterdir())
        return sorted((int(match[1]), path) for match, path in found if match)

    def _current(self, now_unix_s: float) -> sqlite3.Connection:
        """The file of this period, begun if there is none yet."""
        period = int(now_unix_s) // PERIOD_S * PERIOD_S
        if self._db is None:
            self._db = self._newest()
        if self._db is None or period > self._period:
            before, self._db = self._db, None
            self._headers.clear()
            self._expire(now_unix_s)  # before what it needs room for
            try:
                self._db = self._begun(self._directory / f"store-{period}.sqlite", before, int(now_unix_s))
            finally:
                if before is not None:
                    before.close()
            self._period = period
        return self._db

    def _newest(self) -> sqlite3.Connection | None:
        for period, path in reversed(self.files()):
            db = _open(path)
            if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
                found = tables.read_meta(db, "format")
                if found != tables.FORMAT:
                    db.close()
                    raise StoreError(f"{path} has format {found!r}; this version knows {tables.FORMAT!r}")
                self._period = period
                self._headers.clear()
                return db
            db.close()
        return None

    def _begun(self, path: Path, before: sqlite3.Connection | None, now_unix_s: int) -> sqlite3.Connection:
        db = _open(path)
        try:
            db.execute("BEGIN IMMEDIATE")
            for table in tables.TABLES:
                db.execute(table)
            tables.write_meta(db, "format", tables.FORMAT)
            tables.write_meta(db, "store_id", tables.read_meta(before, "store_id") if before else os.urandom(16))
            if before:
                self._carry(before, db, now_unix_s)
            db.execute("COMMIT")
            _sync_directory(self._directory)
        except BaseException:
            db.close()
            raise
        return db

    def _carry(self, before: sqlite3.Connection, db: sqlite3.Connection, now_unix_s: int) -> None:
        oldest = now_unix_s - self._retention_s
        lanes = tables.read_lanes(before)
        live = {Session(place, one.number) for place, lane in lanes.items() for one in lane.open}
        tallies = tables.read_tallies(before).items()
        tables.write_meta(db, "turn", tables.read_meta(before, "turn"))
        tables.write_lanes(db, lanes)
        tables.write_tallies(db, {one: tally for one, tally in tallies if one in live or tally.seen_unix_s >= oldest})
        tables.write_gaps(db, [one for one in tables.read_gaps(before) if one.unix_s >= oldest])
        seen = (now_unix_s - max(TOMBSTONE_S, self._retention_s)) * 1000
        tables.write_nodes(db, [node for node in tables.read_nodes(before) if node.seen_unix_ms >= seen])

    def _expire(self, now_unix_s: float) -> None:
        for period, path in self.files()[:-KEPT_FILES]:
            if period + PERIOD_S < now_unix_s - self._retention_s:
                for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
                    name.unlink(missing_ok=True)

    def _events(self, db: sqlite3.Connection) -> list[tuple[str, bytes]]:
        """The newest first, from as many files as it takes."""
        found = tables.read_events(db, EVENTS_MAX)
        for period, path in reversed(self.files()):
            if period < self._period and len(found) < EVENTS_MAX:
                older = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
                try:
                    found += tables.read_events(older, EVENTS_MAX - len(found))
                except sqlite3.Error:
                    pass  # one that was never begun, or is damaged: what the others have is enough
                finally:
                    older.close()
        return found

    def _let_go(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            try:
                db.close()
            except sqlite3.Error:
                pass  # what is not durable was never acknowledged


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
