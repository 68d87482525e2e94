"""The tables of a store file, and the rows that become values and back. No file needs another to be read.

Only what the stream allows is written, so numbers fit SQLite's 64 signed bits.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from agent.aggregator.commit import Commit, Stored
from agent.aggregator.known import Declared, Node, Session, Stow, Tally
from agent.aggregator.lanes import Gap, Lane, Open, Place

FORMAT: Final = b"1"
_WHOSE: Final = "node TEXT NOT NULL, spool_id BLOB NOT NULL, lane TEXT NOT NULL"
TABLES: Final = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    f"CREATE TABLE lanes ({_WHOSE}, top INTEGER, seen_unix_s INTEGER,"
    " PRIMARY KEY (node, spool_id, lane)) WITHOUT ROWID",
    f"CREATE TABLE sessions ({_WHOSE}, number INTEGER, sid BLOB, base INTEGER, committed INTEGER, last INTEGER,"
    " PRIMARY KEY (node, spool_id, lane, number)) WITHOUT ROWID",
    f"CREATE TABLE tallies ({_WHOSE}, number INTEGER, sid BLOB, committed INTEGER, records INTEGER,"
    " duplicates INTEGER, refused INTEGER, seen_unix_s INTEGER,"
    " PRIMARY KEY (node, spool_id, lane, number)) WITHOUT ROWID",
    f"CREATE TABLE gaps (unix_s INTEGER, {_WHOSE}, first_number INTEGER, last_number INTEGER, first INTEGER,"
    " last INTEGER, records INTEGER, reason TEXT)",
    "CREATE TABLE nodes (cluster TEXT, name TEXT, seen_unix_ms INTEGER, interval_ms INTEGER, agent_version TEXT,"
    " has_left INTEGER, PRIMARY KEY (cluster, name)) WITHOUT ROWID",
    "CREATE TABLE headers (node TEXT, sid BLOB, first INTEGER, header BLOB, PRIMARY KEY (node, sid, first))",
    "CREATE TABLE records (id INTEGER PRIMARY KEY, node TEXT NOT NULL, sid BLOB NOT NULL, seq INTEGER NOT NULL,"
    " lane TEXT NOT NULL, first INTEGER, unix_ms INTEGER, record BLOB NOT NULL, UNIQUE (node, sid, seq))",
    "CREATE INDEX events ON records (id) WHERE lane = 'events'",
)
HeaderKey = tuple[str, bytes, int]


def read_meta(db: sqlite3.Connection, name: str) -> bytes:
    row = db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return row[0] if row else b""


def write_meta(db: sqlite3.Connection, name: str, value: bytes) -> None:
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))


def read_lanes(db: sqlite3.Connection) -> dict[Place, Lane]:
    opened: dict[Place, list[Open]] = {}
    sessions = "SELECT node, spool_id, lane, number, sid, base, committed, last FROM sessions ORDER BY number"
    for row in db.execute(sessions):
        opened.setdefault(Place(*row[:3]), []).append(Open(*row[3:]))
    lanes = db.execute("SELECT node, spool_id, lane, top, seen_unix_s FROM lanes")
    return {place: Lane(top, tuple(opened.get(place, ())), seen) for place, top, seen in _placed(lanes)}


def _placed(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    return ((Place(*row[:3]), *row[3:]) for row in rows)


def write_lanes(db: sqlite3.Connection, lanes: Mapping[Place, Lane | None]) -> None:
    this = "WHERE node = ? AND spool_id = ? AND lane = ?"
    db.executemany(f"DELETE FROM sessions {this}", lanes)
    db.executemany(f"DELETE FROM lanes {this}", lanes)
    kept = [(place, lane) for place, lane in lanes.items() if lane is not None]
    db.executemany("INSERT INTO lanes VALUES (?, ?, ?, ?, ?)", [(*p, one.top, one.seen_unix_s) for p, one in kept])
    rows = [(*place, *session) for place, lane in kept for session in lane.open]
    db.executemany("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)


def read_nodes(db: sqlite3.Connection) -> tuple[Node, ...]:
    rows = (Node(*row) for row in db.execute("SELECT * FROM nodes"))
    return tuple(node._replace(left=bool(node.left)) for node in rows)


def write_nodes(db: sqlite3.Connection, nodes: Iterable[Node]) -> None:
    db.executemany("INSERT OR REPLACE INTO nodes VALUES (?, ?, ?, ?, ?, ?)", nodes)


def read_tallies(db: sqlite3.Connection) -> dict[Session, Tally]:
    rows = db.execute("SELECT * FROM tallies")
    return {Session(place, number): Tally(*tally) for place, number, *tally in _placed(rows)}


def write_tallies(db: sqlite3.Connection, tallies: Mapping[Session, Tally]) -> None:
    rows = [(*session.place, session.number, *tally) for session, tally in tallies.items()]
    db.executemany(f"INSERT OR REPLACE INTO tallies VALUES ({_marks(10)})", rows)


def read_gaps(db: sqlite3.Connection) -> tuple[Declared, ...]:
    rows = db.execute("SELECT * FROM gaps ORDER BY rowid")
    return tuple(Declared(unix_s, Gap(Place(*rest[:3]), *rest[3:])) for unix_s, *rest in rows)


def write_gaps(db: sqlite3.Connection, gaps: Iterable[Declared]) -> None:
    rows = [(unix_s, *gap.place, *gap[1:]) for unix_s, gap in gaps]
    db.executemany(f"INSERT INTO gaps VALUES ({_marks(10)})", rows)


def read_events(db: sqlite3.Connection, most: int) -> list[tuple[str, bytes]]:
    """The newest first."""
    return db.execute(
        "SELECT node, record FROM records WHERE lane = 'events' ORDER BY id DESC LIMIT ?", (most,)
    ).fetchall()


def write_records(db: sqlite3.Connection, commit: Commit, written: set[HeaderKey]) -> set[HeaderKey]:
    """``written`` are the headers that this file has; the keys of those it got now."""
    headers: dict[HeaderKey, bytes] = {}
    rows = []
    for stored in commit.records:
        stow = _stow(stored)
        headers[stored.place.node, stored.sid, stow.first] = stow.header
        rows.append(
            (stored.place.node, stored.sid, stored.seq, stored.place.lane, stow.first, stow.unix_ms, stow.record)
        )
    new = {key: header for key, header in headers.items() if key not in written}
    db.executemany("INSERT OR IGNORE INTO headers VALUES (?, ?, ?, ?)", [(*key, text) for key, text in new.items()])
    columns = "(node, sid, seq, lane, first, unix_ms, record)"
    db.executemany(f"INSERT OR IGNORE INTO records {columns} VALUES ({_marks(7)})", rows)
    return set(new)


def _stow(stored: Stored) -> Stow:
    assert isinstance(stored.payload, Stow)
    return stored.payload


def _marks(count: int) -> str:
    return ", ".join("?" * count)
