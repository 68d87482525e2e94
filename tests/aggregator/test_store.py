"""The store on real files."""

from __future__ import annotations

import sqlite3
import subprocess
import zlib
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path

import pytest

from agent.aggregator.commit import Commit, Stored
from agent.aggregator.known import Declared, Node, Session, Stow, Tally
from agent.aggregator.lanes import Gap, Lane, Open, Place
from agent.aggregator.store import PERIOD_S, Store, StoreError

SID = bytes(range(16))
PLACE = Place("prod/worker-1", bytes(16), "samples")
EVENTS = PLACE._replace(lane="events")
NOW_S = 1_700_000_000 // PERIOD_S * PERIOD_S + 100
HEADER = zlib.compress(b"header")
NODE = Node("prod", "worker-1", NOW_S * 1000, 10_000, "1.2.3", False)
GAP = Gap(PLACE, 1, 1, 4, None, None, "VANISHED")
Opener = Callable[..., Store]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """Stores that are closed in the end."""
    stores: list[Store] = []

    def open_store(directory: Path = tmp_path, retention_s: float = 4 * PERIOD_S) -> Store:
        stores.append(Store(str(directory), retention_s))
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()


def commit_of(*seqs: int, place: Place = PLACE, size: int = 100, gaps: tuple[Gap, ...] = ()) -> Commit:
    """These records, and the lane that is committed up to the last of them."""
    sid = place.lane.encode().ljust(16)
    records = tuple(Stored(place, 1, sid, seq, Stow(b"%d" % seq + bytes(size), 1, HEADER, 5)) for seq in seqs)
    lane = Lane(1, (Open(1, SID, 0, max(seqs, default=0), None),), NOW_S)
    return Commit(records, gaps, {place: lane}, ())


def rows(store: Store) -> list[tuple[int, bytes]]:
    """Sequence and the first byte of each record, file after file."""
    found = []
    for _, file in store.files():
        db = sqlite3.connect(file)
        found += db.execute("SELECT seq, substr(record, 1, 1) FROM records ORDER BY id").fetchall()
        db.close()
    return found


def test_what_was_committed_is_there_again(opened: Opener) -> None:
    """Lanes, nodes, tallies, gaps, events and the store's id outlive the process."""
    store = opened()
    first = store.load(NOW_S)
    assert (len(first.store_id), dict(first.lanes), first.nodes, first.events) == (16, {}, (), ())
    tally = Tally(SID, 2, 2, 1, 0, NOW_S)
    store.commit(commit_of(1, 2, gaps=(GAP,)), [NODE], {Session(PLACE, 1): tally}, NOW_S)
    store.commit(commit_of(1, 2, place=EVENTS), [], {}, NOW_S)
    store.close()
    again = opened().load(NOW_S)
    assert again.store_id == first.store_id
    assert again.lanes == {place: Lane(1, (Open(1, SID, 0, 2, None),), NOW_S) for place in (PLACE, EVENTS)}
    assert (again.nodes, again.tallies) == ((NODE,), {Session(PLACE, 1): tally})
    assert again.gaps == (Declared(NOW_S, GAP),)
    assert [(node, record[:1]) for node, record in again.events] == [(PLACE.node, b"1"), (PLACE.node, b"2")]


def test_a_lane_that_is_forgotten_is_gone(opened: Opener) -> None:
    """None for a lane takes its sessions too; one that is replaced has only the new ones."""
    store = opened()
    store.commit(commit_of(1), [], {}, NOW_S)
    store.commit(commit_of(1, place=EVENTS), [], {}, NOW_S)
    store.commit(Commit((), (), {PLACE: None, EVENTS: Lane(7, (), NOW_S)}, ()), [], {}, NOW_S)
    assert store.load(NOW_S).lanes == {EVENTS: Lane(7, (), NOW_S)}


def test_the_same_commit_again_is_once(opened: Opener) -> None:
    """After an error nobody knows whether it was durable: it is tried again, and counts once, also its gaps."""
    store = opened()
    commit = commit_of(1, 2, gaps=(GAP,))
    for _ in range(2):
        store.commit(commit, [], {}, NOW_S)
        store._let_go()
    assert rows(store) == [(1, b"1"), (2, b"2")]
    assert len(store.load(NOW_S).gaps) == 1
    store.commit(commit_of(3), [], {}, NOW_S)
    assert len(rows(store)) == 3


def test_every_six_hours_a_file(opened: Opener) -> None:
    """The next one opens with what must outlive the last, and has the header that its own records need."""
    store = opened()
    store.commit(commit_of(1, gaps=(GAP,)), [NODE], {Session(PLACE, 1): Tally(SID, 1, 1, 0, 0, NOW_S)}, NOW_S)
    before = store.load(NOW_S)
    assert store.load(NOW_S + PERIOD_S)._replace(events=()) == before
    store.commit(commit_of(2), [], {}, NOW_S + PERIOD_S)
    assert len(store.files()) == 2
    assert store._db is not None
    assert store._db.execute("SELECT first, header FROM headers").fetchall() == [(1, HEADER)]
    assert rows(store) == [(1, b"1"), (2, b"2")]
    store.commit(commit_of(3), [], {}, NOW_S)  # a clock that went back
    assert len(store.files()) == 2


def test_retention_unlinks_whole_files(opened: Opener, tmp_path: Path) -> None:
    """What is older than the retention goes with all its files; the last one stays whatever the clock says."""
    store = opened(retention_s=2 * PERIOD_S)
    for turn in range(6):
        store.commit(commit_of(turn + 1, gaps=(GAP,)), [NODE], {}, NOW_S + turn * PERIOD_S)
    begin = NOW_S - 100
    assert [period for period, _ in store.files()] == [begin + turn * PERIOD_S for turn in (3, 4, 5)]
    assert {one.unix_s for one in store.load(NOW_S + 5 * PERIOD_S).gaps} == {
        NOW_S + turn * PERIOD_S for turn in (3, 4, 5)
    }
    store.commit(commit_of(9), [], {}, NOW_S + 1000 * PERIOD_S)
    assert [period for period, _ in store.files()] == [begin + turn * PERIOD_S for turn in (5, 1000)]
    store.close()
    assert {one.name.partition(".")[0] for one in tmp_path.iterdir()} == {
        "lock",
        *(f"store-{begin + turn * PERIOD_S}" for turn in (5, 1000)),
    }


def test_a_file_that_was_never_begun(opened: Opener, tmp_path: Path) -> None:
    """Killed before its first transaction: the one before it counts, and it is begun again."""
    store = opened()
    store.commit(commit_of(1), [NODE], {}, NOW_S)
    store.close()
    (tmp_path / f"store-{NOW_S - 100 + PERIOD_S}.sqlite").touch()
    store = opened()
    assert store.load(NOW_S).nodes == (NODE,)
    store.commit(commit_of(2), [], {}, NOW_S + PERIOD_S)
    assert store.load(NOW_S + PERIOD_S).nodes == (NODE,)
    assert rows(store) == [(1, b"1"), (2, b"2")]


def test_one_process_at_a_time(opened: Opener, tmp_path: Path) -> None:
    """A second one is told, and touches nothing."""
    opened()
    with pytest.raises(StoreError, match="another process"):
        opened()


def test_a_store_of_another_format_is_left_alone(opened: Opener) -> None:
    """What a newer version wrote is not read as ours."""
    store = opened()
    store.load(NOW_S)
    assert store._db is not None
    store._db.execute("UPDATE meta SET value = ? WHERE name = 'format'", (b"2",))
    store.close()
    with pytest.raises(StoreError, match="format b'2'"):
        opened().load(NOW_S)


def test_what_is_no_store_is_said(opened: Opener, tmp_path: Path) -> None:
    """Garbage is an error with its reason, not a fresh start."""
    (tmp_path / f"store-{NOW_S}.sqlite").write_bytes(b"garbage " * 1000)
    with pytest.raises(StoreError, match="not a database"):
        opened().load(NOW_S)


def _written(file: FileIO) -> bool:
    try:
        return file.write(bytes(4096)) > 0
    except OSError:
        return False


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 1 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.needs("root")
def test_a_full_disk_heals(opened: Opener, small_disk: Path) -> None:
    """What does not fit is an error, and nothing of it is there; with room again the same commit is taken."""
    store = opened(small_disk)
    store.commit(commit_of(1), [], {}, NOW_S)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(600 << 10))
    large = commit_of(2, 3, size=200 << 10)
    for _ in range(3):
        with pytest.raises(StoreError, match=r"full|disk I/O error"):
            store.commit(large, [], {}, NOW_S)
    ballast.unlink()
    store.commit(large, [], {}, NOW_S)
    assert store.load(NOW_S).lanes[PLACE].open[0].committed == 3
    assert rows(store) == [(1, b"1"), (2, b"2"), (3, b"3")]


@pytest.mark.needs("root")
def test_a_full_disk_at_the_turn_of_a_file(opened: Opener, small_disk: Path) -> None:
    """The next file cannot be begun: nothing is taken, and nothing is forgotten."""
    store = opened(small_disk)
    store.commit(commit_of(1), [NODE], {}, NOW_S)
    ballast = small_disk / "ballast"
    with ballast.open("wb", 0) as file:
        while _written(file):
            pass
    with pytest.raises(StoreError):
        store.commit(commit_of(2), [], {}, NOW_S + PERIOD_S)
    ballast.unlink()
    store.commit(commit_of(2), [], {}, NOW_S + PERIOD_S)
    assert store.load(NOW_S + PERIOD_S).nodes == (NODE,)
    assert rows(store) == [(1, b"1"), (2, b"2")]
