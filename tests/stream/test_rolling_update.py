"""Two agents with one spool, as a DaemonSet that surges has them on each node for a few seconds."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from tests.stream.scripted import Aggregator, Store
from tests.stream.test_end_to_end import check_whole, counted, more, start
from tests.stream.waiting import until


def test_a_rolling_update_of_the_agent(tmp_path: Path) -> None:
    """The new process serves at once and records nothing while the old one does; when that has ended it goes on in the
    same spool at once: nothing is missing, and nothing is there twice."""
    store = Store()
    aggregator = Aggregator(store)
    try:
        with start(tmp_path, aggregator.port) as old:
            more(store, 5)
            with start(tmp_path, aggregator.port) as new:
                new.wait_for("another process holds the spool and records")
                assert b"node_load1 " in new.get("/metrics/node")
                more(store, 5)
                assert {number for (_, number, _), _ in store.of("samples")} == {1}
                assert old.stop() == 0
                until(lambda: counted(new, "headroom_push_connected") == 1)
                more(store, 5)
    finally:
        aggregator.stop()
    check_whole(store, tmp_path, 2)
    unix_ms = [at for _, (at, _) in sorted(store.of("samples"))]
    assert max(after - before for before, after in pairwise(unix_ms)) < 2000
    assert len(list((tmp_path / "spool").iterdir())) == 1


def test_an_agent_that_was_killed_is_followed_at_once(tmp_path: Path) -> None:
    """Its lock goes with it, however it ends."""
    store = Store()
    aggregator = Aggregator(store)
    try:
        with start(tmp_path, aggregator.port) as old:
            more(store, 5)
            with start(tmp_path, aggregator.port) as new:
                new.wait_for("another process holds the spool and records")
                old.process.kill()
                old.process.wait()
                until(lambda: counted(new, "headroom_push_connected") == 1)
                more(store, 5)
    finally:
        aggregator.stop()
    check_whole(store, tmp_path, 2)
