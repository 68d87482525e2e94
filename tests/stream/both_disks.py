"""What lies on both ends' disks, read without the code that is under test: frames of the spool, rows of the store."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

from agent.aggregator import tables
from agent.aggregator.lanes import Gap
from agent.push.held import Key
from agent.push.spool_format import parse_directory, parse_name, records
from agent.wire.frame import Frame, read_frame

NODE = "default/n1"


class Record(NamedTuple):
    key: Key
    data: bytes


Name = tuple[bytes, int]  # a session's sid, and the number in it
Spooled = dict[Name, Record]


def look(spool: Path, known: Spooled) -> None:
    """Adds every record that the spool has now; one that was seen before is as it was."""
    for path in spool.glob("*/*"):
        spool_id, name = parse_directory(path.parent.name), parse_name(path.name)
        assert spool_id is not None
        assert name is not None
        buf = path.read_bytes()
        header = read_frame(buf, 0, len(buf))
        if not isinstance(header, Frame):
            continue  # it was just made, or its maker was killed then
        for seq, found in enumerate(records(buf, name.sid, name.first, header.end), name.first):
            record = Record(Key(spool_id, name.lane, name.number), found.body)
            assert known.setdefault((name.sid, seq), record) == record


def stored_of(data: Path, node: str = NODE) -> list[tuple[bytes, int, bytes]]:
    """Every record of the store, of all its files."""
    found = []
    for path in sorted(data.glob("*.sqlite")):
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        rows = db.execute("SELECT node, sid, seq, record FROM records ORDER BY id").fetchall()
        assert {row[0] for row in rows} <= {node}
        found += [row[1:] for row in rows]
        db.close()
    return found


def declared_of(data: Path) -> list[Gap]:
    db = sqlite3.connect(sorted(data.glob("*.sqlite"))[-1])
    found = [one.gap for one in tables.read_gaps(db)]
    db.close()
    return found


def covers(gap: Gap, key: Key, seq: int) -> bool:
    if (gap.place.spool_id, gap.place.lane) != (key.spool_id, key.lane):
        return False
    after = (key.number, seq) >= (gap.first_number, gap.first)
    return after and (key.number, seq) <= (gap.last_number, gap.last or 1 << 63)
