"""The watch: what a look sees, what becomes of it, and who waits for whom."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agent.errors import Overdue
from agent.eviction import watch as module
from agent.eviction.chronicle import CALM_S
from agent.eviction.signals import from_summary
from agent.eviction.view import View
from agent.eviction.watch import MISSED_S, STUCK_S, Watch
from agent.sources.calls import FilesystemSpace
from agent.sources.host import Host
from tests.kubelet.bodies import said
from tests.unit.eviction.small_node import BLOCKS, GIB, MIB, SmallNode, space

NODEFS, MEMORY = "nodefs.available", "memory.available"
PATIENCE_S = 20.0
HALF_GIB = {"availableBytes": GIB // 2, "workingSetBytes": GIB // 2}


@pytest.fixture
def node(make_host: Callable[..., Host], calls: Any) -> SmallNode:
    return SmallNode(make_host, calls)


def events(watch: Watch) -> list[tuple[str, str, str]]:
    return [(one.event.type, one.event.state, one.event.subject) for one in watch.journal.after(0)]


def look(node: SmallNode, watch: Watch, **after: float) -> Any:
    """A look a second later."""
    node.later(after.get("seconds", 1.0))
    return watch.look()


def test_a_look_measures_each_signal_against_its_threshold(node: SmallNode) -> None:
    """By our own reading of files, against the defaults as long as nobody says more."""
    view = node.watch().look()
    assert view.config.origin == "default"
    assert set(view.observations) == {"direct"}
    margin = view.margin(NODEFS, "hard", "direct")
    assert margin is not None
    tenth = int(BLOCKS * 4096 * 0.10000000149011612)
    assert (margin.available, margin.quantity, margin.crossed) == (BLOCKS // 2 * 4096, tenth, False)
    assert view.extremes[MEMORY] == (GIB // 2, GIB // 2)
    assert (view.conditions, view.seconds_left, view.trends) == (frozenset(), {}, {})


def test_extremes_are_of_the_last_minute(node: SmallNode) -> None:
    """A spike between two scrapes stays to be seen, for a minute."""
    watch = node.watch()
    watch.look()
    node.use_memory(GIB - 300 * MIB)
    look(node, watch)
    node.use_memory(GIB // 4)
    assert look(node, watch).extremes[MEMORY] == (300 * MIB, 3 * GIB // 4)
    assert look(node, watch, seconds=60.0).extremes[MEMORY] == (3 * GIB // 4, 3 * GIB // 4)


def test_a_crossing_is_an_event_a_condition_and_urgent(node: SmallNode) -> None:
    """And over when it is over, but for the condition, which the kubelet keeps for its transition period."""
    watch = node.watch()
    node.tell_configz(evictionHard={NODEFS: "10%"}, evictionPressureTransitionPeriod="30s")
    watch.look()
    node.calls.space = space(9.9)
    view = look(node, watch)
    assert (view.conditions, node.kubelet.urgent) == ({"DiskPressure"}, True)
    node.calls.space = space(50)
    view = look(node, watch)
    assert (view.conditions, node.kubelet.urgent) == ({"DiskPressure"}, True)
    view = look(node, watch, seconds=CALM_S)
    assert (view.conditions, node.kubelet.urgent) == ({"DiskPressure"}, False)
    assert look(node, watch, seconds=18.9).conditions == {"DiskPressure"}
    assert look(node, watch, seconds=0.2).conditions == frozenset()
    assert events(watch) == [
        # images and writable layers are on the same filesystem
        ("signal", "crossed", NODEFS),
        ("signal", "crossed", "containerfs.available"),
        ("condition", "crossed", "DiskPressure"),
        ("signal", "cleared", NODEFS),
        ("signal", "cleared", "containerfs.available"),
        ("condition", "cleared", "DiskPressure"),
    ]


def test_a_minimum_reclaim_is_reclaimed_before_it_is_over(node: SmallNode) -> None:
    """As the kubelet goes on evicting until then."""
    watch = node.watch()
    node.tell_configz(evictionHard={MEMORY: "300Mi"}, evictionMinimumReclaim={MEMORY: "100Mi"})
    for left, crossed in ((500, False), (299, True), (399, True), (400, False)):
        node.use_memory(GIB - left * MIB)
        margin = look(node, watch).margin(MEMORY, "hard", "direct")
        assert margin is not None
        assert margin.crossed == crossed


@pytest.mark.parametrize(("percent", "urgent"), [(12.1, False), (11.9, True)])
def test_near_is_urgent(node: SmallNode, percent: float, urgent: bool) -> None:
    """Less than 2 % of the capacity above the threshold: the kubelet is asked every 10 s."""
    node.tell_configz(evictionHard={NODEFS: "10%"})
    node.calls.space = space(percent)
    watch = node.watch()
    watch.look()
    assert node.kubelet.urgent == node.kubelet.wake.is_set() == urgent
    node.calls.space = space(50)
    look(node, watch)
    assert not node.kubelet.urgent
    assert not watch.journal.after(0)


def test_soon_is_urgent(node: SmallNode) -> None:
    """A steady fall that is at the threshold in less than ten minutes, far from it as it still is."""
    node.tell_configz(evictionHard={NODEFS: "10%"})
    watch = node.watch()
    for second in range(400):
        node.calls.space = space(90 - 0.1 * second)
        view = look(node, watch)
    assert view.seconds_left[NODEFS, "hard"] == pytest.approx(400, rel=0.1)
    assert view.trends[NODEFS] == pytest.approx(-0.001 * BLOCKS * 4096, rel=0.1)
    assert node.kubelet.urgent
    for _ in range(200):
        view = look(node, watch)
    assert (view.seconds_left, node.kubelet.urgent) == ({}, False)


def test_a_node_without_a_kubelet_is_watched_all_the_same(make_host: Callable[..., Host], calls: Any) -> None:
    """Nobody is there to be asked more often, and a crossing is an event all the same."""
    calls.space = space(1)
    watch = Watch(
        make_host({"proc/1/mountinfo": "1 0 254:0 / / rw - ext4 /dev/vda rw\n", "root/var/lib/kubelet/x": ""})
    )
    assert watch.look().conditions == {"DiskPressure"}
    assert ("signal", "crossed", NODEFS) in events(watch)
    watch._host.kubelet.urgent = False  # that of all hosts that have none


def test_the_kubelet_s_summary_is_the_second_source(node: SmallNode) -> None:
    """Taken as it is, parsed once, and dropped when it is older than five minutes."""
    node.tell_summary(said("memory-pressure", "stats_summary")["node"])
    watch = node.watch()
    view = watch.look()
    document = node.kubelet.summary()
    assert document is not None
    assert view.observations["kubelet"] == from_summary(document.value)
    assert look(node, watch, seconds=299.0).observations["kubelet"] is view.observations["kubelet"]
    assert set(look(node, watch, seconds=1.1).observations) == {"direct"}


def test_what_we_cannot_read_the_kubelet_s_statistic_stands_in_for(node: SmallNode) -> None:
    """Its crossing is an event too, by its source; it makes no extremes, trends or estimates."""
    node.write(memory_stat="broken")
    node.tell_configz(evictionHard={MEMORY: "800Mi"})
    node.tell_summary({"memory": HALF_GIB})
    watch = node.watch()
    view = watch.look()
    (event,) = (one.event for one in watch.journal.after(0) if one.event.type == "signal")
    assert dict(event.attributes) == {"kind": "hard", "source": "kubelet", "origin": "configz"}
    assert (event.observed, event.threshold) == (GIB // 2, 800 * MIB)
    assert view.conditions == {"MemoryPressure"}
    assert MEMORY not in view.extremes
    assert [error.reason for error in watch.errors()] == ["malformed", "absent"]  # memory.stat, and kubepods


def test_a_reading_that_fails_clears_no_crossing(node: SmallNode) -> None:
    """The kubelet's statistic from before it stands in only when ours has been missing for a minute."""
    node.tell_configz(evictionHard={MEMORY: "300Mi"})
    node.tell_summary({"memory": HALF_GIB})
    node.use_memory(GIB - 200 * MIB)
    watch = node.watch()
    watch.look()
    crossed = [("signal", "crossed", MEMORY), ("condition", "crossed", "MemoryPressure")]
    assert events(watch) == crossed
    node.write(memory_stat="broken")
    look(node, watch)
    look(node, watch, seconds=MISSED_S - 1.1)
    assert events(watch) == crossed
    assert node.kubelet.urgent
    look(node, watch)
    look(node, watch, seconds=CALM_S)
    assert events(watch) == [*crossed, ("signal", "cleared", MEMORY)]


def test_what_the_kubelet_answers_replaces_the_defaults(node: SmallNode) -> None:
    """What the defaults made of this node is over at once: no threshold, crossing or condition of theirs is left."""
    node.calls.space = space(7)
    watch = node.watch()
    assert watch.look().conditions == {"DiskPressure"}
    node.tell_configz(evictionHard={NODEFS: "5%"})
    view = look(node, watch)
    assert view.config.origin == "configz"
    assert {one.signal: one.text for one in view.config.thresholds} == {NODEFS: "5%", "containerfs.available": "5%"}
    assert view.conditions == frozenset()
    assert events(watch)[-1] == ("condition", "cleared", "DiskPressure")
    signals = [(state, subject) for kind, state, subject in events(watch) if kind == "signal"]
    for subject in (NODEFS, "imagefs.available", "containerfs.available"):
        assert [state for state, of in signals if of == subject] == ["crossed", "cleared"]


@pytest.mark.parametrize(("image_fs", "text"), [(GIB, "11%"), (2 * GIB, "12%")])
def test_containerfs_follows_the_layout(node: SmallNode, image_fs: int, text: str) -> None:
    """A copy of imagefs' threshold where that is dedicated, else of nodefs'."""
    node.write(mountinfo="broken")  # so that devices cannot be seen
    node.tell_configz(evictionHard={NODEFS: "11%", "imagefs.available": "12%"})
    image = {"capacityBytes": image_fs}
    node.tell_summary({"fs": {"capacityBytes": GIB}, "runtime": {"imageFs": image, "containerFs": image}})
    thresholds = {one.signal: one.text for one in node.watch().look().config.thresholds}
    assert thresholds["containerfs.available"] == text


def test_what_was_refused_is_an_error(node: SmallNode) -> None:
    """With the kubelet's reason; the other thresholds stand."""
    node.tell_configz(evictionHard={MEMORY: "lots", NODEFS: "5%"})
    watch = node.watch()
    assert [one.signal for one in watch.look().config.thresholds] == [NODEFS, "containerfs.available"]
    kubepods, refused = watch.errors()
    assert kubepods.reason == "absent"
    assert str(refused).startswith("evictionHard: memory.available")


class Sticky:
    """The fake kernel, whose statvfs hangs while ``free`` is not set. ``stuck`` is set when it does."""

    def __init__(self, calls: Any) -> None:
        self._calls = calls
        self.free = threading.Event()
        self.free.set()
        self.stuck = threading.Event()
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._calls, name)

    def statvfs(self, path: str) -> FilesystemSpace:
        if not self.free.is_set():
            self.asked += 1
            self.stuck.set()
            assert self.free.wait(PATIENCE_S)
        return space(50)


@pytest.fixture
def sticky(node: SmallNode, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sticky]:
    """Every look follows the last at once."""
    monkeypatch.setattr(module, "INTERVAL_S", 0.001)
    kernel = Sticky(node.calls)
    node.host.calls = kernel
    yield kernel
    kernel.free.set()


def goes_on(watch: Watch, last: View) -> bool:
    try:
        return watch.view() is not last
    except Overdue:
        return False


def ended(name: str) -> None:
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def test_a_watch_that_is_stuck_shows_its_last_view_for_a_while(node: SmallNode, sticky: Sticky) -> None:
    """For 10 s, at once; then it is overdue, as what it saw is not how it is. It goes on when it can."""
    watch = node.watch()
    watch.start()
    watch.view()
    sticky.free.clear()
    assert sticky.stuck.wait(PATIENCE_S)
    last = watch.view()
    node.later(STUCK_S)
    assert watch.view() is last
    node.later(0.1)
    with pytest.raises(Overdue):
        watch.view()
    sticky.free.set()
    deadline_s = time.monotonic() + PATIENCE_S
    while not goes_on(watch, last):  # the look that was stuck is an old one, too
        assert time.monotonic() < deadline_s
    watch.stop()
    ended("eviction")


def test_nobody_waits_for_ever_for_the_first_look(
    node: SmallNode, sticky: Sticky, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scrape would keep its thread, and so would every later one."""
    monkeypatch.setattr(module, "STUCK_S", 0.05)
    sticky.free.clear()
    watch = node.watch()
    watch.start()
    assert sticky.stuck.wait(PATIENCE_S)
    asked: list[str] = []

    def ask() -> None:
        with pytest.raises(Overdue):
            watch.view()
        asked.append("overdue")

    asking = threading.Thread(target=ask)
    asking.start()
    asking.join(PATIENCE_S / 2)
    assert asked == ["overdue"]
    sticky.free.set()
    watch.stop()
    ended("eviction")


def test_the_watch_ends_at_once(node: SmallNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not when its interval is over."""
    monkeypatch.setattr(module, "INTERVAL_S", 600.0)
    watch = node.watch()
    watch.start()
    watch.view()
    watch.stop()
    ended("eviction")


def test_many_may_look(node: SmallNode) -> None:
    """From several threads at once: each gets a whole view, and what happens is told once."""
    watch = node.watch()
    node.tell_configz(evictionHard={MEMORY: "800Mi"})
    seen: list[bool] = []

    def looks() -> None:
        for _ in range(20):
            margin = watch.view().margin(MEMORY, "hard", "direct")
            seen.append(margin is not None and margin.crossed)

    threads = [threading.Thread(target=looks) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert seen == [True] * 160
    assert events(watch) == [("signal", "crossed", MEMORY), ("condition", "crossed", "MemoryPressure")]


def test_one_looks_at_a_time(node: SmallNode, sticky: Sticky) -> None:
    """What remembers is not made for two: the second waits for the first."""
    watch = node.watch()
    watch.look()
    sticky.free.clear()
    looking = [threading.Thread(target=watch.look) for _ in range(2)]
    looking[0].start()
    assert sticky.stuck.wait(PATIENCE_S)
    looking[1].start()
    looking[1].join(0.05)
    assert sticky.asked == 1
    sticky.free.set()
    for thread in looking:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
