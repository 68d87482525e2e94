"""What changed becomes an event, once; what was before is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.errors import Malformed
from agent.eviction.chronicle import CALM_S, Chronicle
from agent.eviction.configuration import EvictionConfig
from agent.eviction.journal import DETAIL_MAX, Event
from agent.eviction.margins import Margin
from agent.eviction.oom import OomKill
from agent.eviction.thresholds import Threshold
from agent.sources.host import Host
from tests.unit.eviction.pod_documents import item
from tests.unit.eviction.small_node import SmallNode
from tests.unit.eviction.test_evictions import LOW, failed

CONTAINER, OTHER = "ab" * 32, "cd" * 32
HARD = Threshold("memory.available", "hard", 100, None, text="100")
SOFT = Threshold("memory.available", "soft", 200, None, 90.0, text="200")
CONFIG = EvictionConfig((HARD, SOFT), 300.0, "file", ())


class Kills:
    """Gives what it was told to, once."""

    def __init__(self) -> None:
        self.next: list[OomKill] | Malformed = []

    def poll(self) -> list[OomKill]:
        said, self.next = self.next, []
        if isinstance(said, Malformed):
            raise said
        return said


class Story:
    """A chronicle, and the node and the kills that it tells of."""

    def __init__(self, make_host: Callable[..., Host], calls: Any) -> None:
        self.node = SmallNode(make_host, calls)
        self.kills = Kills()
        self.chronicle = Chronicle(self.node.host, self.kills)  # type: ignore[arg-type]

    def look(self, second: float, available: int) -> None:
        self.node.at(second)
        self.chronicle.note_margins([margin(available)], CONFIG, float(second))

    def events(self) -> list[Event]:
        return [one.event for one in self.chronicle.journal.after(0)]

    def kill(self, *kills: OomKill) -> Event:
        self.kills.next = list(kills)
        assert self.chronicle.note_oom_kills(3.0) is None
        return self.events()[-1]


@pytest.fixture
def story(make_host: Callable[..., Host], calls: Any) -> Story:
    return Story(make_host, calls)


def margin(available: int, threshold: Threshold = HARD) -> Margin:
    quantity = threshold.quantity_of(1000)
    return Margin(threshold, "direct", available, 1000, quantity, available < quantity)


def test_crossing_and_clearing_are_one_event_each(story: Story) -> None:
    """With what was seen, against what; while it stays crossed there is nothing to say."""
    for time_s, available in enumerate((150, 99, 98, 97, 100, 101)):
        story.look(time_s, available)
        assert story.chronicle.crossed == (time_s > 0)
    attributes = (("kind", "hard"), ("source", "direct"), ("origin", "file"))
    subject, detail = "memory.available", "hard threshold, by direct"
    crossed = Event(1.0, "signal", "crossed", subject, detail, 99, 100, "bytes", attributes)
    assert story.events() == [crossed]
    story.look(4 + CALM_S, 200)
    assert not story.chronicle.crossed
    assert story.events() == [
        crossed, Event(4.0, "signal", "cleared", subject, detail, 100, 100, "bytes", attributes)
    ]  # fmt: skip


def test_a_signal_that_stands_on_its_line_is_one_crossing(story: Story) -> None:
    """It would push everything else out of the journal: it is clear when the kubelet has had time to see it so."""
    for time_s in range(601):
        story.look(time_s, 99 + time_s % int(CALM_S))
    assert [event.state for event in story.events()] == ["crossed"]
    story.look(601, 150)
    story.look(600 + CALM_S, 150)
    assert len(story.events()) == 1
    story.look(601 + CALM_S, 150)
    assert [(event.state, event.time_s) for event in story.events()] == [("crossed", 0.0), ("cleared", 601.0)]


def test_what_is_crossed_at_first_is_an_event(story: Story) -> None:
    """Silence would be taken for calm. The soft threshold tells its grace."""
    story.chronicle.note_margins([margin(150), margin(150, SOFT)], CONFIG, 1.0)
    (event,) = story.events()
    assert (event.state, event.detail) == ("crossed", "soft threshold, grace 90 s, by direct")


def test_what_is_not_observed_stays_crossed(story: Story) -> None:
    """A statistic that is missing clears nothing."""
    story.chronicle.note_margins([margin(50)], CONFIG, 1.0)
    story.chronicle.note_margins([], CONFIG, 2.0)
    assert story.chronicle.crossed
    assert [event.state for event in story.events()] == ["crossed"]


def test_a_threshold_that_is_no_more_is_cleared(story: Story) -> None:
    """Another configuration came: else the node would be urgent for ever."""
    story.chronicle.note_margins([margin(50), margin(50, SOFT)], CONFIG, 1.0)
    story.chronicle.note_margins([margin(50)], CONFIG._replace(thresholds=(HARD,), origin="configz"), 2.0)
    last = story.events()[-1]
    assert (last.state, last.subject, last.detail) == ("cleared", "memory.available", "no soft threshold any more")
    assert last.attributes == (("kind", "soft"), ("origin", "configz"))
    story.chronicle.note_margins([], CONFIG._replace(thresholds=()), 3.0)
    assert not story.chronicle.crossed
    assert len(story.events()) == 4


def test_conditions_come_and_go(story: Story) -> None:
    """One event for each change."""
    for now in ({"DiskPressure", "MemoryPressure"}, {"DiskPressure", "MemoryPressure"}, {"DiskPressure"}, set()):
        story.chronicle.note_conditions(frozenset(now), 1.0)
    assert [(event.type, event.state, event.subject) for event in story.events()] == [
        ("condition", "crossed", "DiskPressure"),
        ("condition", "crossed", "MemoryPressure"),
        ("condition", "cleared", "MemoryPressure"),
        ("condition", "cleared", "DiskPressure"),
    ]


def test_pods_evicted_before_the_first_look_are_not_news(story: Story) -> None:
    """Nobody can tell when it was; those of later documents are, each once."""
    story.chronicle.note_pods(1.0)
    story.node.tell_pods(failed("old", LOW), item("b"))
    story.chronicle.note_pods(2.0)
    assert story.events() == []
    story.node.tell_pods(failed("old", LOW), failed("b", LOW))
    story.chronicle.note_pods(3.0)
    story.chronicle.note_pods(4.0)
    story.node.tell_pods(failed("old", LOW), failed("b", LOW))
    story.chronicle.note_pods(5.0)
    assert [(event.time_s, event.subject) for event in story.events()] == [(3.0, "pod/default/b")]


def running(name: str, container_id: str, uid: str = "") -> Any:
    pod = item(name)
    pod["metadata"]["uid"] = uid or f"uid-{name}"
    status = {"name": "app", "containerID": f"containerd://{container_id}", "state": {"running": {}}}
    pod["status"]["containerStatuses"] = [status]
    return pod


def test_an_oom_kill_is_its_container_s(story: Story) -> None:
    """The kubelet's documents name the pod and the container of a cgroup; the kernel's log the process."""
    story.node.tell_pods(running("other", OTHER), running("a", CONTAINER))
    cgroup = f"/kubepods/burstable/podX/{CONTAINER}"
    event = story.kill(OomKill(cgroup, 1, "hog", 77))
    assert (event.type, event.subject, event.detail) == ("oom_kill", "pod/default/a", "process 77 killed")
    whose = {"cgroup": cgroup, "namespace": "default", "pod": "a", "container": "app", "command": "hog"}
    assert dict(event.attributes) == whose


@pytest.mark.parametrize("written", ["/kubepods/pod1-2", "/kubepods.slice/kubepods-pod1_2.slice"])
def test_an_oom_kill_of_an_unknown_container_is_its_pod_s(story: Story, written: str) -> None:
    """By the uid in the cgroup's name, as either cgroup driver writes it; an unknown container is not told."""
    story.node.tell_pods(running("b", OTHER, "3-4"), running("a", CONTAINER, "1-2"))
    event = story.kill(OomKill(written, 2))
    assert (event.subject, event.detail) == ("pod/default/a", "2 killed")
    assert dict(event.attributes) == {"cgroup": written, "namespace": "default", "pod": "a"}


def test_a_uid_that_is_the_beginning_of_another_is_nobody_else_s(story: Story) -> None:
    """A pod from a file may have any uid: the name of the cgroup is compared as a whole."""
    story.node.tell_pods(running("short", OTHER, "1"))
    assert story.kill(OomKill(f"/kubepods/pod1-2/{CONTAINER}")).subject == "node"
    assert story.kill(OomKill("/kubepods.slice/kubepods-pod1_2.slice")).subject == "node"
    assert story.kill(OomKill(f"/kubepods/besteffort/pod1/{CONTAINER}")).subject == "pod/default/short"


def test_an_oom_kill_of_nobody_known_is_the_node_s(story: Story) -> None:
    """Without a kubelet, outside all pods, and where nobody knows the cgroup."""
    assert story.kill(OomKill(f"/kubepods/pod1/{CONTAINER}")).subject == "node"
    story.node.tell_pods(running("a", CONTAINER))
    assert story.kill(OomKill("/system.slice/x.service")).subject == "node"
    assert story.kill(OomKill("")) == Event(3.0, "oom_kill", "occurred", "node", "1 killed")


def test_kills_that_cannot_be_counted_are_an_error(story: Story) -> None:
    """Returned, not raised: the other events go on."""
    error = story.kills.next = Malformed("vmstat", "x")
    assert story.chronicle.note_oom_kills(1.0) is error
    assert story.events() == []


def test_a_line_of_the_log_is_bounded(story: Story, capfd: pytest.CaptureFixture[str]) -> None:
    """However long a message is; and what is urgent is a warning, what is over is not."""
    story.node.tell_pods(item("a"))
    story.chronicle.note_pods(1.0)
    story.node.tell_pods(failed("a", "m" * 50_000))
    story.chronicle.note_pods(2.0)
    for second, available in ((3, 50), (4, 500), (4 + CALM_S, 500)):
        story.look(second, available)
    eviction, crossed, cleared = capfd.readouterr().err.splitlines()
    assert f" detail={'m' * DETAIL_MAX}" in eviction
    assert len(eviction) < DETAIL_MAX + 200
    assert 'level=warn msg="signal crossed" subject=memory.available' in crossed
    assert 'level=info msg="signal cleared"' in cleared
