"""Single cases of the two ends, each from one rule of the protocol or from a peer that lies."""

from __future__ import annotations

import pytest

from agent.aggregator.commit import Ack, Welcome
from agent.aggregator.ingest import Ingest, Limits
from agent.aggregator.lanes import Gap, Key, Lane, Listed, Open, Place, listing
from agent.errors import ProtocolError
from agent.push import commands
from agent.push.commands import (
    Connect,
    Delete,
    Disconnect,
    OpenSession,
    Renew,
    SendHeader,
    SendHello,
    SendLost,
    SendRecord,
    State,
)
from agent.push.held import File, Held
from agent.push.held import Key as HeldKey
from agent.push.session import Limits as SessionLimits
from agent.push.session import Session
from tests.stream.ends import Agent, Mistakes, Settings
from tests.stream.mistakes import BackfillFirst, any_unlisted, forgets_closed
from tests.stream.simulation import Simulation
from tests.stream.spool import Bounds

SPOOL = b"s" * 16
MOST = 2**64 - 1
PLACE = Place("n", SPOOL, "samples")


def sid(number: int) -> bytes:
    return number.to_bytes(16, "big")


def key(number: int) -> Key:
    return Key(SPOOL, "samples", number)


def listed(number: int, base: int = 0, last: int = 0, sealed: bool = False) -> Listed:
    return Listed(key(number), sid(number), base, last, sealed)


def held(number: int, last: int = 0, sealed: bool = False, lane: str = "samples", *files: File) -> Held:
    return Held(HeldKey(SPOOL, lane, number), sid(number), 0, last, sealed, files or (File(1, last, 1),))  # type: ignore[arg-type]


def finish(ingest: Ingest) -> list[Welcome | Ack]:
    ingest.commit()
    return ingest.committed()


def greeted(*sessions: Listed, stream: int = 1, limits: Limits = Limits()) -> Ingest:
    ingest = Ingest({}, limits)
    ingest.hello(stream, "n", sessions, 0)
    finish(ingest)
    return ingest


def streaming(session: Session, *states: State, live: int = 4, backfill: int = 4) -> list[commands.Command]:
    """Through the Hello; what it does then."""
    session.connected(0)
    drain(session)
    session.welcome(0, commands.Welcome(states, live, backfill))
    return drain(session)


def drain(session: Session) -> list[commands.Command]:
    return [one for one in iter(session.next_command, None) if one is not None]


def test_live_goes_before_backfill() -> None:
    """Events, then samples, then one sealed session."""
    sessions = [held(1, 3, True), held(2, 2), held(1, 2, False, "events")]
    states = [State(one.key, 0) for one in sessions]
    order = [one.key for one in streaming(Session(0, sessions, lambda: 0.5), *states) if isinstance(one, SendRecord)]
    assert order == [sessions[2].key] * 2 + [sessions[1].key] * 2 + [sessions[0].key] * 3
    wrong = [one for one in streaming(BackfillFirst(0, sessions, lambda: 0.5), *states) if isinstance(one, SendRecord)]
    assert wrong[0].key == sessions[0].key


def test_sealed_sessions_take_turns() -> None:
    """One at a time, the lowest number first; the next when the first is acknowledged to its end."""
    sessions = [held(3, 2, True), held(1, 3, True), held(4), held(2, 2, True)]
    session = Session(0, sessions, lambda: 0.5)
    sent = streaming(session, *(State(one.key, 0) for one in sessions), backfill=8)
    order = [[one.key.number for one in sent if isinstance(one, SendRecord)]]
    for number, last in ((1, 3), (2, 2)):
        session.ack(1, [State(held(number).key, last)])
        order.append([one.key.number for one in drain(session) if isinstance(one, SendRecord)])
    assert order == [[1, 1, 1], [2, 2], [3, 3]]


def test_what_no_welcome_named_is_not_sent() -> None:
    """Nor are acknowledgements of it believed; that the stream before named it counts for nothing."""
    sealed, live = held(1, 3, True), held(2, 2)
    session = Session(0, [sealed, live], lambda: 0.5)
    streaming(session, State(sealed.key, 1), State(live.key, 0))
    session.disconnected(1)
    drain(session)
    sent = streaming(session, State(live.key, 0))
    session.ack(2, [State(sealed.key, 3)])
    assert {one.key for one in sent if isinstance(one, (SendHeader, SendRecord))} == {live.key}
    assert session.acked(sealed.key) == 1


def test_a_session_that_the_hello_did_not_name_needs_another_hello() -> None:
    """As after the spool was renewed: without one it would never be sent."""
    session = Session(0, [held(1, 3)], lambda: 0.5)
    streaming(session, State(held(1).key, 3))
    session.holds([held(1, 3, True), held(2)])
    assert [type(one) for one in drain(session)] == [Disconnect]


def test_a_delayed_hello_of_a_dead_process_closes_nothing() -> None:
    """An unlisted session with a higher number is its successor's; the planted mistake would close it."""
    lane = Lane(2, (Open(1, sid(1), 0), Open(2, sid(2), 5)))
    after, gaps = listing(PLACE, lane, [listed(1)], 0)
    assert (after.open, gaps) == (lane.open, [])
    assert any_unlisted(lane.open[1], {1: listed(1)}, 1)


def test_a_session_that_is_over_stays_over() -> None:
    """A delayed Hello lists what was called lost: it is not opened again, as the planted mistake would."""
    lane = Lane(2, (Open(2, sid(2), 5),))
    both = [listed(1, last=5, sealed=True), listed(2, base=5)]
    after, gaps = listing(PLACE, lane, both, 0)
    assert (after.open, gaps) == (lane.open, [])
    wrong, _ = forgets_closed(PLACE, lane, both, 0)
    assert [one.number for one in wrong.open] == [1, 2]


def test_the_same_hello_on_two_streams() -> None:
    """What one brings is expected by both, and both hear of it."""
    ingest = greeted(listed(1))
    ingest.hello(2, "n", [listed(1)], 0)
    finish(ingest)
    for stream in (1, 2):
        ingest.header(stream, key(1), sid(1), 1)
    assert ingest.record(1, sid(1), 1, "a")
    assert not ingest.record(2, sid(1), 1, "a")
    assert ingest.record(2, sid(1), 2, "b")
    assert finish(ingest) == [Ack(stream, (State(key(1), 2),)) for stream in (1, 2)]


def test_nothing_is_acknowledged_before_it_is_durable() -> None:
    """A Hello between a record and its commit is answered after it, with what is durable then."""
    ingest = greeted(listed(1))
    ingest.header(1, key(1), sid(1), 1)
    ingest.record(1, sid(1), 1, "a")
    commit = ingest.commit()
    ingest.hello(2, "n", [listed(1)], 0)
    ingest.record(1, sid(1), 2, "b")
    assert commit
    assert [one.payload for one in commit.records] == ["a"]
    assert ingest.commit() is commit
    assert ingest.committed() == [Ack(1, (State(key(1), 1),))]
    assert finish(ingest) == [Welcome(2, (State(key(1), 2),)), Ack(1, (State(key(1), 2),))]


def test_64_sessions_and_no_more() -> None:
    """A Hello of 64 is taken; one of 65 costs its stream and changes nothing."""
    ingest = Ingest({})
    with pytest.raises(ProtocolError):
        ingest.hello(1, "n", [listed(n + 1) for n in range(65)], 0)
    assert ingest.commit() is None
    ingest.hello(1, "n", [listed(n + 1) for n in range(64)], 0)
    assert len(finish(ingest)[0].states) == 64


def test_65_spools_of_a_node() -> None:
    """The 65th is refused, those that are known are not."""
    ingest = Ingest({})
    for n in range(64):
        ingest.hello(n, "n", [Listed(Key(sid(n), "events", 1), sid(n), 0, 0, False)], 0)
    with pytest.raises(ProtocolError):
        ingest.hello(64, "n", [listed(1)], 0)
    ingest.hello(65, "other", [listed(1)], 0)
    ingest.hello(66, "n", [Listed(Key(sid(5), "events", 1), sid(5), 0, 0, False)], 0)


@pytest.mark.parametrize("number", [MOST - 1, MOST])
def test_numbers_near_the_end(number: int) -> None:
    """2^64 - 1 is a number like another: one gap for all that were skipped, and no more memory for it."""
    ingest = Ingest({})
    ingest.hello(1, "n", [listed(number, base=MOST - 5, last=5, sealed=True)], 0)
    commit = ingest.commit()
    assert commit
    assert commit.gaps == (Gap(PLACE, 1, number - 1, 1, None, MOST - 5, "VANISHED"),)
    ingest.committed()
    ingest.lost(1, key(number), 1, MOST - 1, "CORRUPT")
    finish(ingest)
    ingest.header(1, key(number), sid(number), MOST)
    assert ingest.record(1, sid(number), MOST, "last")
    with pytest.raises(ProtocolError):
        ingest.lost(1, key(number), MOST + 1, MOST + 1, "CORRUPT")


@pytest.mark.parametrize("one", [listed(0), listed(MOST + 1), listed(1, MOST, 1), listed(1, -1)])
def test_numbers_out_of_range(one: Listed) -> None:
    """They cost their stream."""
    with pytest.raises(ProtocolError):
        Ingest({}).hello(1, "n", [one], 0)


def test_what_breaks_the_order_costs_the_stream() -> None:
    """A record ahead of its turn, without a header, out of its file, or beyond the window; a loss ahead of its turn."""
    ingest = greeted(listed(1), limits=Limits(window=2))
    with pytest.raises(ProtocolError):
        ingest.record(1, sid(1), 1, "no header")
    ingest.header(1, key(1), sid(1), 2)
    with pytest.raises(ProtocolError):
        ingest.record(1, sid(1), 2, "ahead")
    with pytest.raises(ProtocolError):
        ingest.lost(1, key(1), 2, 3, "CORRUPT")
    ingest.header(1, key(1), sid(1), 1)
    ingest.record(1, sid(1), 1, "a")
    with pytest.raises(ProtocolError):
        ingest.record(1, sid(1), 1, "again in one file")
    ingest.record(1, sid(1), 2, "b")
    with pytest.raises(ProtocolError):
        ingest.record(1, sid(1), 3, "beyond the window")
    ingest.lost(1, key(1), 3, 3, "CORRUPT")
    finish(ingest)
    with pytest.raises(ProtocolError):
        ingest.record(1, sid(1), 3, "a loss ends the file")
    with pytest.raises(ProtocolError):
        ingest.record(1, sid(2), 1, "never listed")


def test_a_refused_record_is_lost_in_its_place() -> None:
    """The session goes on behind it."""
    ingest = greeted(listed(1))
    ingest.header(1, key(1), sid(1), 1)
    assert not ingest.record(1, sid(1), 1, "bad", refused=True)
    assert ingest.record(1, sid(1), 2, "good")
    commit = ingest.commit()
    assert commit
    assert commit.gaps == (Gap(PLACE, 1, 1, 1, 1, 1, "REJECTED"),)
    assert [one.seq for one in commit.records] == [2]


def test_a_spool_that_is_not_seen_any_more_is_forgotten() -> None:
    """Open-ended, since nobody knows what was still in it; not while a stream speaks of it."""
    ingest = greeted(listed(1))
    ingest.ended(1, 5)
    finish(ingest)
    ingest.expire(retention_s=100, now_unix_s=105)
    assert ingest.commit() is None
    ingest.expire(retention_s=100, now_unix_s=106)
    commit = ingest.commit()
    assert commit
    assert commit.lanes == {PLACE: None}
    assert commit.gaps == (Gap(PLACE, 1, 1, 1, None, None, "VANISHED"),)


def test_a_stream_may_outlive_the_retention() -> None:
    """Its spool is seen as long as it goes on: durably every eighth of the retention, and at its end."""
    ingest = greeted(listed(1))
    for now_s in range(0, 1000, 10):
        ingest.expire(100, now_s)
        if commit := ingest.commit():
            seen_s = commit.lanes[PLACE].seen_unix_s  # type: ignore[union-attr]
            assert seen_s == now_s
            ingest.committed()
    assert 1000 - seen_s <= 30
    ingest.ended(1, 1000)
    ingest.expire(100, 1100)
    commit = ingest.commit()
    assert commit
    assert commit.lanes[PLACE].seen_unix_s == 1000  # type: ignore[union-attr]
    assert commit.gaps == ()


def test_streams_without_a_welcome_seal_one_session_at_most() -> None:
    """Else a spool would be full of sessions after some hours. The first stream after a Welcome seals as before."""
    sealed, live = held(1, 60, True), held(2, 0)
    session = Session(0, [held(1, 60)], lambda: 0.5)
    session.connected(0)
    assert drain(session)[-1] == OpenSession("samples")
    session.holds([sealed, live])
    drain(session)
    for at in range(1, 1000):
        session.disconnected(at)
        session.connected(at)
        sent = drain(session)
        assert isinstance(sent[-1], SendHello)
        assert OpenSession("samples") not in sent
        for seq in range(at * 60 - 59, at * 60 + 1):
            session.appended(live.key, seq)
    session.welcome(1000, commands.Welcome((), 9, 9))
    session.disconnected(1001)
    session.connected(1001)
    assert OpenSession("samples") in drain(session)


def test_a_vanished_session_is_as_long_as_its_successor_says() -> None:
    """Nobody ever listed it as sealed, but what was numbered before the next one is known."""
    lane = Lane(2, (Open(1, sid(1), 0, committed=5), Open(2, sid(2), 9)))
    after, gaps = listing(PLACE, lane, [listed(2, base=9)], 0)
    assert gaps == [Gap(PLACE, 1, 1, 6, 9, 4, "VANISHED")]
    assert [one.number for one in after.open] == [2]


def test_a_number_that_was_never_listed_is_told_where_it_may_have_had_records() -> None:
    """By the bases session 3 had none; but what 2 had when it was sealed may be less than what it then sent."""
    lane = Lane(2, (Open(2, sid(2), 0, committed=5, last=5),))
    _, gaps = listing(PLACE, lane, [listed(4, base=5)], 0)
    assert gaps == [Gap(PLACE, 3, 3, 1, None, 0, "VANISHED")]
    _, gaps = listing(PLACE, lane, [listed(2, last=5, sealed=True), listed(4, base=5)], 0)
    assert gaps == []


def test_a_session_of_a_copy_is_not_written_to() -> None:
    """Its number is another's: it is over, and what comes of it all the same costs the stream."""
    ingest = greeted(listed(1))
    ingest.hello(2, "n", [listed(1)._replace(sid=sid(7))], 0)
    assert finish(ingest) == [Welcome(2, (State(key(1), 0, True),))]
    with pytest.raises(ProtocolError):
        ingest.header(2, key(1), sid(7), 1)


def test_a_run_that_seems_empty_is_told_all_the_same() -> None:
    """Two records of session 1 were sent, then lost with the power: the bases count two less, and 2 held two."""
    lane = Lane(1, (Open(1, sid(1), 0, committed=5),))
    _, gaps = listing(PLACE, lane, [listed(3, base=5)], 0)
    assert gaps == [Gap(PLACE, 1, 2, 6, None, 0, "VANISHED")]


def test_lies_of_an_aggregator() -> None:
    """Unknown sessions, more than there is, windows without end, a Welcome out of turn: bounded or refused."""
    sealed, live = held(1, 9, True), held(2, 3)
    session = Session(0, [sealed, live], lambda: 0.5)
    unknown = State(HeldKey(SPOOL, "events", 77), MOST, True)
    sent = streaming(session, unknown, State(sealed.key, MOST), State(live.key, 0), live=MOST, backfill=MOST)
    assert sent == [SendHeader(live.key, 1), *(SendRecord(live.key, n) for n in (1, 2, 3))]
    session.ack(1, [State(live.key, MOST), unknown, State(sealed.key, 0)])
    assert (session.acked(live.key), session.acked(sealed.key)) == (3, 9)
    session.welcome(1, commands.Welcome((), 1, 1))
    assert [type(one) for one in drain(session)] == [Disconnect]


def test_the_window_is_bounded_here_too() -> None:
    """Whatever the aggregator offers."""
    live = held(1, 100)
    session = Session(0, [live], lambda: 0.5, SessionLimits(seal_records=1000, max_window=10))
    assert len(streaming(session, State(live.key, 0), live=MOST)) == 11


@pytest.mark.parametrize("greeting", [False, True], ids=["while it streams", "between Hello and Welcome"])
def test_a_session_that_is_found_later_is_named_by_the_next_hello(greeting: bool) -> None:
    """A spool that another process left: the stream ends, the next Hello has it, and then it is sent."""
    mine, found = held(1, 1), held(1, 2, True)
    found = found._replace(key=found.key._replace(spool_id=b"o" * 16))
    session = Session(0, [mine], lambda: 0.5)
    if greeting:
        session.connected(0)
        drain(session)
        session.holds([mine, found])
        session.welcome(0, commands.Welcome((State(mine.key, 0),), 4, 4))
    else:
        streaming(session, State(mine.key, 0))
        session.holds([mine, found])
    assert any(isinstance(one, Disconnect) for one in drain(session))
    session.disconnected(1)
    session.connected(2)
    (hello,) = (one for one in drain(session) if isinstance(one, SendHello))
    assert {one.key for one in hello.sessions} == {mine.key, found.key}
    session.welcome(2, commands.Welcome((State(mine.key, 0), State(found.key, 0)), 4, 4))
    assert [one.seq for one in drain(session) if isinstance(one, SendRecord) and one.key == found.key] == [1, 2]


def test_numbers_that_were_given_out_twice() -> None:
    """More committed of the live session than is in it: the machine was set back. It is sealed before more is added."""
    live = held(1, 3)
    session = Session(0, [live], lambda: 0.5)
    assert [type(one) for one in streaming(session, State(live.key, 5))] == [Disconnect]
    session.disconnected(0)
    drain(session)
    session.connected(1)
    assert drain(session) == [OpenSession("samples")]


def test_what_cannot_be_read_is_declared_with_the_rest_of_its_file() -> None:
    """Then the next file is entered at its header."""
    one = held(1, 6, True, "samples", File(1, 3, 1), File(4, 6, 1))
    session = Session(0, [one], lambda: 0.5)
    session.connected(0)
    drain(session)
    session.welcome(0, commands.Welcome((State(one.key, 1),), 9, 9))
    assert [session.next_command() for _ in range(3)] == [SendHeader(one.key, 1)] + [
        SendRecord(one.key, n) for n in (1, 2)
    ]
    session.unreadable(one.key, 2)
    assert session.next_command() == SendLost(one.key, 2, 3, "CORRUPT")
    assert session.next_command() == SendHeader(one.key, 4)


def test_what_is_acknowledged_is_not_called_lost() -> None:
    """The file that was sent again from its start is reclaimed on the way: the next one is entered."""
    files = File(1, 3, 1), File(4, 6, 1)
    one = held(1, 6, True, "samples", *files)
    session = Session(0, [one], lambda: 0.5)
    session.connected(0)
    drain(session)
    session.welcome(0, commands.Welcome((State(one.key, 2),), 9, 9))
    assert session.next_command() == SendHeader(one.key, 1)
    session.ack(1, [State(one.key, 3)])
    session.holds([one._replace(files=files[1:])])
    assert drain(session) == [SendHeader(one.key, 4), *(SendRecord(one.key, n) for n in (4, 5, 6))]


def test_backoff_grows_with_jitter_and_starts_again_with_an_ack() -> None:
    """1, 2, 4 ... 60 s, times what chance says."""
    live = held(1, 1)
    session = Session(0, [live], lambda: 0.5)
    drain(session)
    waits = []
    for _ in range(8):
        session.disconnected(100)
        waits += [one.not_before_s - 100 for one in drain(session) if isinstance(one, Connect)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30]
    streaming(session, State(live.key, 0))
    session.ack(101, [State(live.key, 1)])
    session.disconnected(101)
    assert drain(session) == [Connect(101.5)]


def test_an_outage_is_at_most_doubled_by_waiting() -> None:
    """However many tries a short one has room for, the next is not later than the outage is long."""
    live = held(1, 1)
    session = Session(0, [live], lambda: 0.999)
    streaming(session, State(live.key, 0))
    session.ack(100, [State(live.key, 1)])
    drain(session)
    for tenths in range(1005, 1100):
        session.disconnected(tenths / 10)
        (again,) = (one for one in drain(session) if isinstance(one, Connect))
        assert again.not_before_s - tenths / 10 <= max(1.0, tenths / 10 - 100)
    assert again.not_before_s > 109.9 + 9


def test_a_hello_without_an_answer_and_records_without_an_ack() -> None:
    """After 30 and 60 s the stream is given up."""
    live = held(1, 1)
    session = Session(0, [live], lambda: 0.5)
    session.connected(0)
    assert isinstance(drain(session)[-1], SendHello)
    session.tick(31)
    assert [type(one) for one in drain(session)] == [Disconnect]
    session.disconnected(31)
    streaming(session, State(live.key, 0))
    session.ack(40, [State(live.key, 0)])  # which says nothing new
    session.tick(61)
    assert [type(one) for one in drain(session)] == [Disconnect]


def test_closed_is_deleted_when_sealed_and_renewed_when_live() -> None:
    """A live session that is over already has another's number."""
    sealed, live = held(1, 9, True), held(2, 3)
    states = State(sealed.key, 0, True), State(live.key, 0, True)
    assert streaming(Session(0, [sealed, live], lambda: 0.5), *states) == [Delete(sealed.key), Renew(live.key)]


def test_two_agents_on_one_node() -> None:
    """Each has its own spool; neither closes or waits for what is the other's."""
    simulation = Simulation(3)
    extra = Agent("node", simulation.rng, simulation.truth, simulation.settings, Mistakes())
    simulation.agents = [simulation.agents[0], extra]
    simulation.run()
    spools = {place.spool_id for place in simulation.aggregator.store.lanes}
    assert len(spools) >= 2


def test_a_copied_spool_renews_itself() -> None:
    """A7: the copy's live sessions have numbers that are taken; all its records arrive, once, under a new spool."""
    simulation = Simulation(1, given=Settings(3, 4, 4, Bounds(records=1000, sessions=32)))
    first = simulation.agents[0]
    simulation.agents = [first]
    first.start(0)
    for _ in range(8):
        simulation.append(first, "samples")
    simulation.heal(probe=False)
    first.kill()
    clone = Agent("node", simulation.rng, simulation.truth, simulation.settings, Mistakes())
    for file in [one for files in first.disk.files.values() for one in files]:
        clone.disk.create(file)
    simulation.agents = [first]
    simulation.heal(probe=True)
    simulation.agents = [first, clone]
    simulation.heal(probe=True)
    simulation.check()
    assert len({place.spool_id for place in simulation.aggregator.store.lanes}) == 2


def test_a_wiped_spool_begins_another() -> None:
    """A new spool_id: its numbers begin at 1 and hit nothing that is known."""
    simulation = Simulation(1, given=Settings(3, 4, 4, Bounds()))
    simulation.agents = simulation.agents[:1]
    simulation.heal(probe=True)
    simulation.fault_wipe()
    simulation.heal(probe=True)
    simulation.check()
    assert len({place.spool_id for place in simulation.aggregator.store.lanes}) == 2
    assert simulation.aggregator.store.gaps == []
