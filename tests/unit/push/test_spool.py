"""A spool on a real directory, with a disk that fails when it is told to."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import SpoolError
from agent.model import Writer
from agent.push.held import LANES, Key
from agent.push.reader import survey
from agent.push.shelf import is_taken
from agent.push.spool import Limits, Place, Spool
from agent.push.spool_format import parse_name
from tests.unit.push.spooling import (
    EVENTS,
    SAMPLES,
    SMALL,
    ClockDisk,
    FaultyDisk,
    ForgetfulDisk,
    live,
    of,
    on_disk_bytes,
    payload_of,
    readable,
    record,
)


@pytest.fixture
def disk() -> FaultyDisk:
    return FaultyDisk()


@pytest.fixture
def spool(tmp_path: Path, disk: FaultyDisk) -> Iterator[Spool]:
    spool = Spool(str(tmp_path), SMALL, disk)
    yield spool
    spool.close()


def fill(spool: Spool, count: int, size: int = 100) -> None:
    for number in range(count):
        assert spool.append(SAMPLES, of(b"%d" % number * (size // len(b"%d" % number))))


def test_a_process_opens_a_session_per_lane(tmp_path: Path) -> None:
    """Eagerly, with the next number, and the sessions before it are sealed; base counts what was before."""
    for number in (1, 2, 3):
        spool = Spool(str(tmp_path), SMALL)
        fill(spool, 4)
        spool.append(EVENTS, of(b"e"))
        assert [
            (one.key.number, one.base, one.last, one.sealed) for one in spool.held() if one.key.lane == SAMPLES
        ] == [(n, 4 * (n - 1), 4, n < number) for n in range(1, number + 1)]
        assert live(spool, EVENTS).base == number - 1
        spool.close()
    assert len(list(tmp_path.iterdir())) == 1, "one spool"


def test_what_was_appended_is_read_back(spool: Spool) -> None:
    """Over several files, in any order, and again after the cursor was elsewhere."""
    fill(spool, 50)
    held = live(spool)
    assert len(held.files) > 4
    assert [file.first for file in held.files[1:]] == [file.readable + 1 for file in held.files[:-1]]
    assert {seq: data for (key, seq), data in readable(spool).items() if key == held.key} == {
        n + 1: b"%d" % n * (100 // len(b"%d" % n)) for n in range(50)
    }
    for seq in (50, 1, 25, 24, 26, 50):
        data = spool.record(held.key, seq)
        assert data is not None
        assert payload_of(data).startswith(b"%d" % (seq - 1))
    assert spool.record(held.key, 51) is None
    assert spool.record(Key(b"x" * 16, SAMPLES, 1), 1) is None


def test_a_file_begins_where_the_record_is_told_so(spool: Spool, disk: FaultyDisk) -> None:
    """By size and by age; the first record of a process begins one too."""
    begun: list[int] = []

    def make(place: Place) -> bytes:
        begun.extend([place.seq] * place.begins)
        return record(place, b"x" * 300)

    for _ in range(7):
        spool.append(SAMPLES, make)
    disk.now_s += SMALL.file_age_s
    spool.append(SAMPLES, make)
    assert begun == [file.first for file in live(spool).files] == [1, 4, 7, 8]


def test_changes_are_all_but_appends(spool: Spool) -> None:
    """A reader who saw held() once need not ask again for every record."""
    assert spool.changes() == ()
    assert spool.changes() is None
    spool.append(SAMPLES, of(b"x"))
    assert spool.changes() is None
    spool.append(SAMPLES, of(b"x" * 1000))
    spool.append(SAMPLES, of(b"x"))
    assert spool.changes() == (), "another file"


def test_a_short_write_is_rolled_back_and_declared(spool: Spool, disk: FaultyDisk, tmp_path: Path) -> None:
    """Disk full: nothing half is left, each record's number is spent, and what comes after room is back is kept."""
    fill(spool, 3)
    disk.room = 50
    assert [spool.append(SAMPLES, of(b"y" * 200)) for _ in range(4)] == [None] * 4
    disk.room = None
    assert spool.append(SAMPLES, of(b"z")) == (live(spool).key, 8)
    held = live(spool)
    assert spool.size_bytes == on_disk_bytes(tmp_path)
    assert [(file.first, file.readable) for file in held.files] == [(1, 3), (8, 8)]
    assert [tuple(one[1:]) for one in spool.changes() or ()] == [(4, 7, "DISK")]
    assert sorted(seq for key, seq in readable(spool) if key == held.key) == [1, 2, 3, 8]
    spool.close()
    again = Spool(str(tmp_path), SMALL)
    assert next(one for one in again.held() if one.key == held.key).last == 8
    assert sorted(seq for key, seq in readable(again) if key == held.key) == [1, 2, 3, 8]
    again.close()


def test_a_file_that_takes_nothing_is_left(spool: Spool, disk: FaultyDisk) -> None:
    """EIO on a write: the record goes to another file, at whose start its maker is asked again."""
    fill(spool, 3)
    disk.refuse("write", errno.EIO)
    begun: list[bool] = []

    def make(place: Place) -> bytes:
        begun.append(place.begins)
        return record(place, b"z")

    assert spool.append(SAMPLES, make) == (live(spool).key, 4)
    assert begun == [False, True]
    assert [(file.first, file.readable) for file in live(spool).files] == [(1, 3), (4, 4)]


def test_a_write_that_cannot_be_rolled_back(spool: Spool, disk: FaultyDisk, tmp_path: Path) -> None:
    """The file is left with what it has; what is torn in it is never read as a record, nor does it count twice."""
    fill(spool, 3)
    disk.room = 30
    disk.refuse("truncate", errno.EIO)
    assert spool.append(SAMPLES, of(b"y" * 200)) is None
    disk.room = None
    fill(spool, 1)
    key = live(spool).key
    spool.close()
    again = Spool(str(tmp_path), SMALL)
    assert sorted(seq for one, seq in readable(again) if one == key) == [1, 2, 3, 5]
    again.close()


def test_acked_files_make_room_on_a_full_disk(spool: Spool, disk: FaultyDisk) -> None:
    """What nobody needs goes first, one file at a time; what is unacknowledged stays."""
    fill(spool, 20)
    spool.acked(live(spool).key, 20)
    before = len(live(spool).files)
    spool.append(SAMPLES, of(b"x" * 900))
    disk.refuse("create", errno.ENOSPC)
    assert spool.append(SAMPLES, of(b"z")) is not None
    assert len(live(spool).files) == before - 1 + 1
    assert live(spool).first > 1
    assert [one.reason for one in spool.changes() or ()] == []


def test_an_event_is_synced_or_not_there(spool: Spool, disk: FaultyDisk, tmp_path: Path) -> None:
    """A sync that fails makes the file suspect: the event goes to another, or is lost and declared."""
    assert spool.append(EVENTS, of(b"1"))
    disk.refuse("sync", errno.EIO)
    assert spool.append(EVENTS, of(b"2"))
    assert [(file.first, file.readable) for file in live(spool, EVENTS).files] == [(1, 1), (2, 2)]
    disk.refuse("sync", errno.EIO, 2)
    assert spool.append(EVENTS, of(b"3")) is None
    assert spool.size_bytes == on_disk_bytes(tmp_path)
    assert spool.append(EVENTS, of(b"4"))
    assert [data for (key, _), data in readable(spool).items() if key.lane == EVENTS] == [b"1", b"2", b"4"]
    assert [tuple(one[1:]) for one in spool.changes() or ()] == [(3, 3, "DISK")]


def test_samples_go_on_in_another_file_after_a_failed_sync(spool: Spool, disk: FaultyDisk) -> None:
    """The record is there, the file takes no more."""
    fill(spool, 1)
    disk.now_s += SMALL.sync_s
    disk.refuse("sync", errno.EIO)
    fill(spool, 2)
    assert [(file.first, file.readable) for file in live(spool).files] == [(1, 2), (3, 3)]


def test_over_the_bound_the_acked_go_then_the_oldest_samples(spool: Spool) -> None:
    """Never what is written to; each loss is told, and the bound holds."""
    fill(spool, 60)
    spool.acked(live(spool).key, 9)
    spool.changes()
    fill(spool, 200)
    held = live(spool)
    assert spool.size_bytes <= SMALL.max_bytes + SMALL.file_bytes
    dropped = spool.changes() or ()
    assert (dropped[0].first, dropped[-1].last) == (10, held.first - 1)
    assert {one.reason for one in dropped} == {"SPOOL_FULL"}
    assert sum(one.last - one.first + 1 for one in dropped) == held.first - 10
    assert held.last == 260


def test_events_outlive_samples(spool: Spool) -> None:
    """An old event stays while there are samples that may go; only events over the bound drop events."""
    spool.append(EVENTS, of(b"old" * 400))
    spool.append(EVENTS, of(b"e"))
    fill(spool, 300)
    assert live(spool, EVENTS).first == 1
    for _ in range(40):
        spool.append(EVENTS, of(b"e" * 900))
    assert live(spool, EVENTS).first > 1
    assert len(live(spool).files) == 1


@pytest.mark.parametrize(
    ("margin", "at_most"), [(2.0, 20_000), (1.5, 20_000), (1.25, 10_000), (1.0, 3000), (0.0, 3000)]
)
def test_it_yields_disk_to_the_node(spool: Spool, margin: float, at_most: int) -> None:
    """Step by step as the threshold nears; events and what is written to stay."""
    spool.append(EVENTS, of(b"e" * 1000))
    spool.append(EVENTS, of(b"e"))
    fill(spool, 140)
    spool.changes()
    spool.yield_disk(margin)
    assert spool.size_bytes <= at_most
    assert {one.reason for one in spool.changes() or ()} == ({"DISK_PRESSURE"} if margin < 1.5 else set())
    assert live(spool, EVENTS).first == 1
    spool.yield_disk(2.0)
    fill(spool, 140)
    assert spool.size_bytes > 15_000, "it takes its room again"


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    """By the time a file was last written to."""
    disk = ClockDisk()
    spool = Spool(str(tmp_path), SMALL, disk)
    fill(spool, 30)
    held = live(spool)
    old = next(file for file in tmp_path.rglob(f"samples-*-{held.files[0].first:016x}"))
    os.utime(old, (0, 0))
    disk.now_s += 61
    spool.changes()
    spool.maintain()
    assert [tuple(one[1:]) for one in spool.changes() or ()] == [(1, held.files[1].first - 1, "SPOOL_FULL")]
    spool.close()


def test_a_session_stays_until_its_loss_is_declared(tmp_path: Path) -> None:
    """A sealed session whose files all went is held without them until it is acknowledged."""
    spool = Spool(str(tmp_path), SMALL)
    fill(spool, 5)
    key = live(spool).key
    spool.open_session(SAMPLES)
    spool.yield_disk(1.0)
    held = next(one for one in spool.held() if one.key == key)
    assert (held.first, held.last, held.files) == (6, 5, ())
    spool.acked(key, 5)
    assert key not in [one.key for one in spool.held()]
    spool.close()


def test_at_most_so_many_sessions_per_lane(tmp_path: Path) -> None:
    """The sealed session with the fewest records that only we have goes for a new one."""
    spool = Spool(str(tmp_path), SMALL)
    for count in (5, 1, 4, 3, 2):
        fill(spool, count)
        spool.open_session(SAMPLES)
    assert [one.last for one in spool.held() if one.key.lane == SAMPLES] == [5, 4, 2, 0]
    assert live(spool).base == 15
    spool.close()


def test_delete_spares_the_live_session(spool: Spool) -> None:
    """Its number would be given out again."""
    fill(spool, 3)
    key = live(spool).key
    spool.delete(key)
    assert len(readable(spool)) == 3
    spool.open_session(SAMPLES)
    spool.delete(key)
    assert live(spool).key.number == 2
    assert len(readable(spool)) == 0


def test_a_second_process_gets_its_own_spool(tmp_path: Path) -> None:
    """And who starts after both takes over all of it."""
    first = Spool(str(tmp_path), SMALL)
    second = Spool(str(tmp_path), SMALL)
    fill(first, 3)
    fill(second, 4)
    assert live(first).key.spool_id != live(second).key.spool_id
    assert {one.key.spool_id for one in first.held()}.isdisjoint({one.key.spool_id for one in second.held()})
    second.close()
    first.close()
    third = Spool(str(tmp_path), SMALL)
    assert len(readable(third)) == 7
    other = {one.key.spool_id for one in third.held()} - {live(third).key.spool_id}
    assert len(other) == 1
    for key in [one.key for one in third.held() if one.key.spool_id in other]:
        third.delete(key)
    assert [path.name for path in tmp_path.iterdir()] == [live(third).key.spool_id.hex()], "an empty one is removed"
    third.close()


def test_what_another_process_leaves_is_taken_over_while_we_run(tmp_path: Path) -> None:
    """Within a minute of its end: its sessions are ours, sealed, and told as a change; before, nothing of it is."""
    disk = ClockDisk()
    first, second = Spool(str(tmp_path), SMALL), Spool(str(tmp_path), SMALL, disk)
    fill(first, 3)
    fill(second, 4)
    mine = live(second).key.spool_id
    second.changes()
    disk.now_s += 61
    second.maintain()
    assert second.changes() is None
    assert {one.key.spool_id for one in second.held()} == {mine}
    first.close()
    disk.now_s += 61
    second.maintain()
    assert second.changes() == ()
    assert len(readable(second)) == 7
    assert [one.sealed for one in second.held() if one.key.spool_id != mine and one.key.lane == SAMPLES] == [True]
    assert live(second).key.spool_id == mine
    second.close()


def test_what_is_taken_over_counts_as_the_rest(tmp_path: Path) -> None:
    """Toward the bound of bytes and the bound of sessions: what must go is told."""
    disk = ClockDisk()
    first, second = Spool(str(tmp_path), SMALL), Spool(str(tmp_path), SMALL, disk)
    for spool in (first, second):
        for _ in range(SMALL.sessions - 1):
            fill(spool, 20, 180)
            spool.open_session(SAMPLES)
    first.close()
    disk.now_s += 61
    second.maintain()
    assert sum(one.key.lane == SAMPLES for one in second.held()) <= SMALL.sessions
    assert second.size_bytes <= SMALL.max_bytes
    dropped = second.changes()
    assert dropped
    gone = sum(one.last - one.first + 1 for one in dropped)
    assert gone + len(readable(second)) == 2 * (SMALL.sessions - 1) * 20
    second.close()


def test_whether_others_hold_all_spools(tmp_path: Path) -> None:
    """Of none it is not true, nor of one that is free; looking takes nothing away."""
    disk = ClockDisk()
    assert not is_taken(disk, str(tmp_path))
    first = Spool(str(tmp_path), SMALL)
    assert is_taken(disk, str(tmp_path))
    (tmp_path / ("ab" * 16)).mkdir()
    assert not is_taken(disk, str(tmp_path))
    first.close()
    assert not is_taken(disk, str(tmp_path))
    third = Spool(str(tmp_path), SMALL)
    third.close()
    with pytest.raises(FileNotFoundError):
        is_taken(disk, str(tmp_path / "nowhere"))


def test_a_copied_spool_goes_on_under_another_name(spool: Spool) -> None:
    """What the live session held is in a new spool's first session, and the old one has it no more."""
    fill(spool, 25)
    spool.append(EVENTS, of(b"e"))
    before = live(spool)
    records = sorted(data for (key, _), data in readable(spool).items() if key.lane == SAMPLES)
    spool.renew(before.key)
    after = live(spool)
    assert (after.key.number, after.base) == (2, 25)
    assert after.key.spool_id != before.key.spool_id
    moved = [one for one in spool.held() if one.key.spool_id == after.key.spool_id and one.sealed]
    assert [(one.sid, one.base, one.first, one.last) for one in moved] == [(before.sid, 0, 1, 25)]
    assert before.key not in [one.key for one in spool.held()]
    assert sorted(data for (key, _), data in readable(spool).items() if key.lane == SAMPLES) == records
    assert live(spool, EVENTS).key.spool_id == before.key.spool_id
    fill(spool, 1)
    spool.renew(before.key)  # nothing: it is not the live one any more
    assert live(spool).last == 1


def test_a_torn_tail_counts_as_one_record(tmp_path: Path) -> None:
    """It is declared lost, whatever it was; what is before it is there."""
    spool = Spool(str(tmp_path), SMALL)
    fill(spool, 3)
    key = live(spool).key
    spool.close()
    (file,) = tmp_path.rglob("samples-*")
    with file.open("ab") as out:
        out.write(b"hdr1 half a record")
    again = Spool(str(tmp_path), SMALL)
    held = next(one for one in again.held() if one.key == key)
    assert (held.last, held.files[0].readable, held.files[0].damaged) == (4, 3, True)
    assert live(again).base == 4
    assert sorted(seq for one, seq in readable(again) if one == key) == [1, 2, 3]
    again.close()


@pytest.mark.parametrize("how", ["flipped", "truncated", "header"])
@pytest.mark.parametrize("followed", [True, False])
def test_what_damage_took_is_counted(tmp_path: Path, how: str, followed: bool) -> None:
    """A session is as long as it was: by the numbers behind the damage, or by what the next one counted before it."""
    spool = Spool(str(tmp_path), Limits())
    fill(spool, 30)
    key = live(spool).key
    spool.close()
    if followed:
        Spool(str(tmp_path), Limits()).close()
    (file,) = tmp_path.rglob("samples-1-*")
    data = bytearray(file.read_bytes())
    if how == "truncated":
        del data[len(data) // 3 :]
    else:
        data[20 if how == "header" else len(data) // 3] ^= 1
    file.write_bytes(data)
    again = Spool(str(tmp_path), Limits())
    held = next(one for one in again.held() if one.key == key)
    readable_ones = len([one for one, _ in readable(again) if one == key])
    assert readable_ones == (0 if how == "header" else 9)
    assert held.last == (30 if followed or how != "truncated" else readable_ones + 1)
    assert held.files[-1].damaged
    assert live(again).base == held.last
    again.close()


def test_a_record_is_in_one_file_only(spool: Spool, disk: FaultyDisk, tmp_path: Path) -> None:
    """An event that could be neither synced nor taken back is in two files: the later one has it."""
    spool.append(EVENTS, of(b"1"))
    disk.refuse("sync", errno.EIO)
    disk.refuse("truncate", errno.EIO)
    assert spool.append(EVENTS, of(b"2"))
    key = live(spool, EVENTS).key
    found = survey(disk, str(tmp_path / key.spool_id.hex()), key.spool_id, whole=True).sessions
    files = next(one.files for one in found if one.key == key)
    assert [(file.first, file.readable) for file in files] == [(1, 1), (2, 2)]


def test_damage_in_the_middle_is_found_when_it_is_read(spool: Spool, tmp_path: Path) -> None:
    """The rest of that file is lost and nothing else; held() says so from then on; a live file takes no more."""
    fill(spool, 30)
    held = live(spool)
    for file in (held.files[1], held.files[-1]):
        path = next(tmp_path.rglob(f"samples-*-{file.first:016x}"))
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    found = sorted(seq for key, seq in readable(spool) if key == held.key)
    assert set(range(1, 31)) - set(found) <= {
        *range(held.files[1].first, held.files[1].readable + 1),
        *range(held.files[-1].first, 31),
    }
    assert len(found) < 30
    assert [file.damaged for file in live(spool).files] == [
        file in (held.files[1], held.files[-1]) for file in held.files
    ]
    assert spool.changes() is not None
    spool.append(SAMPLES, of(b"next"))
    assert live(spool).files[-1].first == 31


def test_a_lack_of_descriptors_is_no_damage(spool: Spool, disk: FaultyDisk) -> None:
    """It raises, and the record can be read another time."""
    fill(spool, 2)
    disk.refuse("open", errno.EMFILE)
    with pytest.raises(SpoolError):
        spool.record(live(spool).key, 1)
    assert spool.record(live(spool).key, 1) is not None


@pytest.mark.parametrize("what", ["create", "sync"])
def test_a_spool_that_cannot_be_opened_says_so(tmp_path: Path, disk: FaultyDisk, what: str) -> None:
    """One line, with the directory; and the next try finds nothing in its way."""
    disk.refuse(what, errno.EROFS)
    with pytest.raises(SpoolError, match=str(tmp_path)):
        Spool(str(tmp_path), SMALL, disk)
    Spool(str(tmp_path), SMALL, disk).close()


def test_a_session_that_cannot_be_opened_leaves_the_old_one_live(spool: Spool, disk: FaultyDisk) -> None:
    """And appends go on."""
    fill(spool, 2)
    disk.refuse("sync", errno.EIO)
    with pytest.raises(SpoolError):
        spool.open_session(SAMPLES)
    fill(spool, 1)
    assert (live(spool).key.number, live(spool).last) == (1, 3)


def test_a_file_that_cannot_be_deleted_is_tried_later(spool: Spool, disk: FaultyDisk) -> None:
    """It stays held, and counts."""
    fill(spool, 100)
    before = spool.size_bytes
    disk.refuse("unlink", errno.EROFS)
    spool.yield_disk(1.0)
    assert spool.size_bytes == before
    spool.maintain()
    assert spool.size_bytes < before


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    """Whatever else lies in the directories."""
    spool = Spool(str(tmp_path), SMALL)
    directory = tmp_path / live(spool).key.spool_id.hex()
    spool.close()
    sid, first = "a" * 32, "0" * 15 + "1"
    names = [f"samples-0-{sid}-{first}", f"samples-{10**18 * 9}-{sid}-{first}", f"samples-1-{sid}-{'0' * 16}", "x"]
    for name in names:
        (directory / name).write_bytes(b"?")
        assert parse_name(name) is None
    (tmp_path / "notes").mkdir()
    Spool(str(tmp_path), SMALL).close()
    assert {file.name for file in directory.iterdir()} >= set(names)


def test_a_wrong_record_is_refused(spool: Spool) -> None:
    """One for another place would be unreadable; nothing is spent, and what follows begins a file."""
    fill(spool, 2)
    with pytest.raises(SpoolError, match="not record 3"):
        spool.append(SAMPLES, lambda place: record(place._replace(seq=9)))
    fill(spool, 1)
    assert [(file.first, file.readable) for file in live(spool).files] == [(1, 2), (3, 3)]


@pytest.mark.parametrize("seed", range(12))
def test_a_power_cut_takes_seconds_of_samples_and_no_event(tmp_path: Path, seed: int) -> None:
    """Whenever it comes: what is lost is the end, at most the last 5 s, and what is left can be read."""
    disk = ForgetfulDisk()
    spool = Spool(str(tmp_path), Limits(file_bytes=1000), disk)
    key, times = live(spool).key, [0.0]
    for number in range(10 + 7 * seed):
        disk.now_s += (0.3, 1.0, 2.1)[(seed + number) % 3]
        spool.append(SAMPLES, of(b"s%d" % number * 20))
        times.append(disk.now_s)
        if number % 5 == 0:
            spool.append(EVENTS, of(b"e%d" % number))
        spool.maintain()
    events = [data for (one, _), data in readable(spool).items() if one.lane == EVENTS]
    disk.cut_power()
    shutil.copytree(tmp_path, tmp_path.parent / f"after-{seed}")
    spool.close()
    after = Spool(str(tmp_path.parent / f"after-{seed}"), Limits(file_bytes=1000))
    found = readable(after)
    kept = sorted(seq for one, seq in found if one == key)
    assert kept == list(range(1, len(kept) + 1))
    assert all(disk.now_s - times[seq] <= 5 for seq in range(len(kept) + 1, len(times)))
    assert [data for (one, _), data in found.items() if one.lane == EVENTS] == events
    after.close()


def test_a_power_cut_after_deletions_brings_back_no_front_without_its_tail(tmp_path: Path) -> None:
    """A session's last file is unlinked when the others are certainly gone: a front would pass for all of it."""
    disk = ForgetfulDisk()
    spool = Spool(str(tmp_path), SMALL, disk)
    fill(spool, 30)
    key = live(spool).key
    spool.open_session(SAMPLES)
    spool.delete(key)
    disk.cut_power()
    shutil.copytree(tmp_path, tmp_path.parent / "after")
    spool.close()
    after = Spool(str(tmp_path.parent / "after"), SMALL)
    assert [one.last for one in after.held() if one.key == key] in ([], [30])
    after.close()


def test_the_telemetry_says_what_happened(spool: Spool, disk: FaultyDisk) -> None:
    """Bytes are those on disk; every loss is counted by its reason."""
    fill(spool, 3)
    disk.room = 10
    spool.append(SAMPLES, of(b"y" * 100))
    disk.room = None
    out = Writer()
    spool.telemetry.write(out)
    said = {
        (block.family.name, key): value
        for block in out.blocks
        for key, value in zip(block.keys, block.values, strict=True)
    }
    assert said["headroom_spool_records_total", (SAMPLES,)] == 3
    assert said["headroom_spool_dropped_records_total", (SAMPLES, "disk")] == 1
    assert said["headroom_spool_errors_total", ("write",)] == 1
    assert said["headroom_spool_sessions", ()] == len(LANES)
    assert said["headroom_spool_bytes", ()] == sum(file.size_bytes for one in spool.held() for file in one.files)


def test_by_default_it_takes_a_hundredth_of_the_filesystem(tmp_path: Path) -> None:
    """And never more than 256 MiB."""
    spool = Spool(str(tmp_path / "a" / "b"))
    st = os.statvfs(tmp_path)
    assert spool.limits.max_bytes == min(256 << 20, st.f_blocks * st.f_frsize // 100)
    spool.close()
