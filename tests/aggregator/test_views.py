"""What is shown of a node, and whose tick it is."""

from __future__ import annotations

import pytest

from agent.aggregator.events import EVENTS_MAX, Events
from agent.aggregator.identity import Denied, Identity, claimed, identity_of, unforged
from agent.aggregator.known import Node, Session
from agent.aggregator.lanes import Place
from agent.aggregator.views import GONE_MS, STALE_MS, Speaker, View
from agent.exposition.render import Renderer
from agent.model import Block, Family
from agent.wire.decoder import Decoder
from agent.wire.encoder import Encoder
from agent.wire.events import Told
from tests.unit.wire.batches import FAMILIES, block

LOAD = FAMILIES[0]
NOW_MS = 1_700_000_000_000
NODE = Node("prod", "worker-1", 0, 10_000, "1.2.3")
PLACE = Place(NODE.id, bytes(16), "samples")
COPY = Place(NODE.id, bytes([1]) * 16, "samples")
BOOT, REBOOT = b"a" * 16, b"b" * 16


def speaker(stream: int = 1, place: Place = PLACE, number: int = 1, boot_id: bytes = BOOT) -> Speaker:
    return Speaker(stream, Session(place, number), boot_id)


def decoder(value: float, boot_ms: int) -> Decoder:
    blocks = (block(LOAD, {(): value}),)
    encoder = Encoder()
    made = Decoder(encoder.begin(blocks))
    made.apply(encoder.tick(blocks, NOW_MS, boot_ms))
    return made


def load(view: View) -> float:
    return next(iter(view.blocks)).values[0]


@pytest.fixture
def view() -> View:
    """One tick of the first process, at 1000 of the boot."""
    made = View(NODE)
    assert made.show(speaker(), decoder(1, 1000), NOW_MS)
    return made


@pytest.mark.parametrize(
    ("who", "boot_ms", "after_ms", "shown"),
    [
        (speaker(), 2000, 0, True),
        (speaker(), 1000, 0, False),  # again
        (speaker(2, number=2), 2000, 0, True),  # its successor, while the stream is half open
        (speaker(2, number=2), 999, 0, False),  # what its successor had before
        (speaker(2, number=1), 2000, 0, True),  # the same on a new stream
        (speaker(2, COPY), 2000, 0, False),  # another agent of this node: values would flap
        (speaker(2, COPY), 2000, STALE_MS + 1, True),  # that took over
        (speaker(2, boot_id=REBOOT), 5, 0, True),  # the clock begins anew
        (speaker(0, boot_id=REBOOT), 5000, 0, False),  # a delayed one of before
    ],
)
def test_whose_tick_is_shown(view: View, who: Speaker, boot_ms: int, after_ms: int, shown: bool) -> None:
    """The newest of the boot, and of one agent for as long as that speaks."""
    assert view.show(who, decoder(2, boot_ms), NOW_MS + after_ms) is shown
    assert load(view) == (2 if shown else 1)


def test_another_takes_over_when_the_stream_has_ended(view: View) -> None:
    """At once, not only when it is stale."""
    view.ended(1, goodbye=False)
    assert view.show(speaker(2, COPY), decoder(2, 1001), NOW_MS + 1)


def test_states(view: View) -> None:
    """live, then stale, then gone; a slow node is stale later; a goodbye is gone at once."""
    assert view.state(NOW_MS + STALE_MS) == "live"
    assert view.state(NOW_MS + STALE_MS + 1) == "stale"
    assert view.state(NOW_MS + GONE_MS + 1) == "gone"
    view.node = view.node._replace(interval_ms=60_000)
    assert view.state(NOW_MS + 180_000) == "live"
    view.ended(1, goodbye=True)
    assert view.state(NOW_MS) == "gone"
    assert View(NODE).state(NOW_MS) == "never"


def test_a_goodbye_of_an_agent_that_was_followed(view: View) -> None:
    """The one that is shown stays."""
    view.show(speaker(2, number=2), decoder(2, 2000), NOW_MS)
    view.ended(1, goodbye=True)
    assert view.state(NOW_MS) == "live"


def test_the_text_follows_the_tick(view: View) -> None:
    """What was squeezed for one tick is not served for the next, also from another file."""
    first = view.gzipped(None, "text")
    assert view.gzipped(None, "text") is first
    view.show(speaker(), decoder(3, 3000), NOW_MS)
    assert view.gzipped(None, "text") != first
    assert view.text(None, "text").endswith(b"\nnode_load1 3\n")
    assert view.text("headroom", "text") == b""


def test_the_worst_margin() -> None:
    """The signal that is nearest to its threshold; nothing where none is told."""
    family = Family("headroom_eviction_margin_ratio", "gauge", "M.", ("signal", "kind", "source"))
    blocks = (block(family, {("memory.available", "hard", "direct"): 0.5, ("pid.available", "hard", "direct"): -0.1}),)
    encoder = Encoder()
    made = Decoder(encoder.begin(blocks))
    made.apply(encoder.tick(blocks, NOW_MS, 1))
    view = View(NODE)
    assert view.worst_margin() is None
    view.show(speaker(), made, NOW_MS)
    assert view.worst_margin() == ("pid.available", -0.1)


def test_labels_that_say_who_is_meant() -> None:
    """``cluster``, ``instance`` and another ``node`` are left out; the node's own name is fine."""
    kept = Block(Family("kube_pod_info", "gauge", "", ("pod", "node")), (("a", "worker-1"),), (1,))
    flat = Family("x_seconds", "histogram", "", ("node",))
    blocks = [
        kept,
        Block(Family("a", "gauge", "", ("cluster",)), (("other",),), (1,)),
        Block(Family("b", "gauge", "", ("instance",)), (("worker-1",),), (1,)),
        Block(Family("c", "gauge", "", ("node",)), (("worker-1",), ("worker-2",)), (1, 1)),
        Block(flat, (("_sum", "", "worker-2"),), (1,)),
        Block(flat, (("_sum", "", "worker-1"),), (2,)),
    ]
    assert list(unforged(blocks, "worker-1")) == [kept, blocks[-1]]
    assert b"worker-2" not in Renderer().render(unforged(blocks, "worker-1"), "text")


SAN, CN = "x509_subject_alternative_name", "x509_common_name"


@pytest.mark.parametrize(
    ("auth", "cluster", "name", "right"),
    [
        ({SAN: [b"spiffe://prod/node/worker-1"]}, "prod", "worker-1", True),
        ({SAN: [b"spiffe://prod/node/worker-1"]}, "", "worker-1", True),
        ({SAN: [b"spiffe://prod/node/worker-1"]}, "prod", "worker-2", False),
        ({SAN: [b"spiffe://prod/node/worker-1"]}, "test", "worker-1", False),
        ({SAN: [b"spiffe://prod/sa/worker-1", b"worker-1"]}, "", "worker-1", False),
        ({SAN: [b"spiffe://prod/node/a", b"spiffe://prod/node/b"]}, "prod", "a", False),
        ({SAN: [b"worker-1.example", b"worker-1"], CN: [b"x"]}, "", "worker-1", True),
        ({SAN: [b"worker-1"], CN: [b"worker-2"]}, "", "worker-2", False),
        ({CN: [b"worker-1"]}, "default", "worker-1", True),
        ({CN: [b"worker-1"]}, "prod", "worker-1", False),
        ({CN: [b"system:node:worker-1"]}, "", "worker-1", False),
        ({}, "", "worker-1", False),
    ],
)
def test_who_a_certificate_lets_speak(auth: dict[str, list[bytes]], cluster: str, name: str, right: bool) -> None:
    """The certificate's node, in its cluster or in ours, and no other."""
    try:
        found = claimed(identity_of(auth, "default"), cluster, name)
    except Denied:
        assert not right
    else:
        assert right
        assert found[1] == name


@pytest.mark.parametrize("name", ["", "a/b", "../a", "a\n", "é", "a" * 254, "-a"])
def test_names_that_are_none(name: str) -> None:
    """Also who is believed must have a name that fits a path and a label."""
    with pytest.raises(Denied):
        claimed(Identity("default", None), "", name)


def test_events_of_one_node_are_bounded() -> None:
    """The oldest go first; another node's stay, and one that comes again is the same."""
    events = Events()
    events.add("b", Told(5, 0, "oom_kill", "occurred", "node"))
    for at in (*range(EVENTS_MAX + 10), 10):
        events.add("a", Told(at, 0, "signal", "crossed", "memory.available"))
    both = [(node, told.unix_ms) for node, told in events.newest({"a", "b"}, 1000)]
    assert both == [("a", at) for at in range(EVENTS_MAX + 9, 9, -1)] + [("b", 5)]
    assert [told.unix_ms for _, told in events.newest({"a", "b"}, 2)] == [EVENTS_MAX + 9, EVENTS_MAX + 8]
