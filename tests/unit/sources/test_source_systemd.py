"""systemd over a real bus."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Absent, Denied, Gone, Malformed, Overdue, SourceError, Unsupported
from agent.sources import systemd
from agent.sources.systemd import MANAGER, Systemd, Unit, parse_units
from tests.unit.fake_systemd import Failure, FakeSystemd, PrivateBus, Silence

UNIT = "/org/freedesktop/systemd1/unit/"
ROW = ("a.service", "A", "loaded", "active", "running", "", f"{UNIT}a_2eservice", 0, "", "/")
needs_bus = pytest.mark.needs("dbus-daemon")


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[PrivateBus]:
    private = PrivateBus(tmp_path)
    private.start()
    yield private
    private.stop()


@pytest.fixture
def peer(bus: PrivateBus) -> Iterator[FakeSystemd]:
    """The systemd of a recorded node, on the bus."""
    fake = FakeSystemd()
    fake.start(bus)
    yield fake
    fake.stop()


@pytest.fixture
def source(bus: PrivateBus) -> Systemd:
    return Systemd(bus.address, timeout_s=10)


def row(**changed: Any) -> tuple[Any, ...]:
    places = {"name": 0, "load": 2, "active": 3, "path": 6}
    fields = list(ROW)
    for field, value in changed.items():
        fields[places[field]] = value
    return tuple(fields)


def test_a_row_is_a_unit() -> None:
    """Four of its ten columns."""
    assert parse_units([ROW]) == (Unit("a.service", "loaded", "active", f"{UNIT}a_2eservice"),)
    assert parse_units([]) == ()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([ROW, row(load="not-found")], "a unit is listed twice"),
        ([row(name="x" * 252 + ".pod")], "longer than systemd allows"),
        ([row(active="x" * 256)], "longer than systemd allows"),
    ],
)
def test_rows_that_systemd_does_not_give(rows: list[Any], said: str) -> None:
    """They would make a series twice, or labels without bound."""
    with pytest.raises(Malformed, match=said):
        parse_units(rows)


texts = st.text(max_size=300)


@given(st.lists(st.tuples(*[texts] * 7, st.integers(), texts, texts)))
def test_any_rows(rows: list[Any]) -> None:
    """Rows of the right type are units with names of their own, or Malformed."""
    try:
        units = parse_units(rows)
    except Malformed:
        assert rows
        return
    assert [unit.name for unit in units] == [name for name, *_ in rows]


@needs_bus
def test_the_units_of_a_node(source: Systemd, peer: FakeSystemd) -> None:
    """Each in systemd's order, with its states and its object; also those that are not loaded."""
    units = source.units()
    assert len(units) == 30
    assert units[2] == Unit(
        "systemd-vconsole-setup.service", "not-found", "inactive", f"{UNIT}systemd_2dvconsole_2dsetup_2eservice"
    )
    assert Unit(r"work\x2der@a\x5cb.service", "loaded", "active", f"{UNIT}work_5cx2der_40a_5cx5cb_2eservice") in units


@needs_bus
def test_properties_come_in_the_order_of_the_questions(source: Systemd, peer: FakeSystemd) -> None:
    """Of several objects and types; who does not have one says so in its place."""
    answers = source.get(
        [
            (MANAGER, systemd.VERSION),
            (f"{UNIT}crashing_2eservice", systemd.SERVICE_RESTARTS),
            (f"{UNIT}dbus_2esocket", systemd.SERVICE_RESTARTS),
            (f"{UNIT}crashing_2eservice", systemd.SERVICE_TASKS),
            (f"{UNIT}tick_2etimer", systemd.TIMER_LAST_TRIGGER),
        ]
    )
    assert answers[:2] == ["257.13-1~deb13u1", 4]
    assert isinstance(answers[2], Unsupported)
    assert answers[2].path == "org.freedesktop.systemd1.Service.NRestarts"
    assert answers[3:] == [systemd.UNLIMITED, 1795229098526984]


@needs_bus
def test_more_questions_than_a_bus_lets_wait(source: Systemd, peer: FakeSystemd) -> None:
    """A bus lets 128 be unanswered: a thousand are asked a few at a time, and none is lost or exchanged."""
    for number in range(1000):
        peer.properties[f"{UNIT}n{number}", "Service.NRestarts"] = ("u", number)
    assert source.get([(f"{UNIT}n{n}", systemd.SERVICE_RESTARTS) for n in range(1000)]) == list(range(1000))


@needs_bus
def test_nothing_to_ask(source: Systemd, peer: FakeSystemd) -> None:
    """No questions, no answers."""
    assert source.get([]) == []


@needs_bus
def test_the_connection_is_kept(source: Systemd, peer: FakeSystemd) -> None:
    """Whoever asks again is the same to systemd."""
    source.units()
    source.get([(MANAGER, systemd.VERSION)])
    source.units()
    assert len(peer.askers) == 3
    assert len(set(peer.askers)) == 1


@needs_bus
def test_threads_take_turns(source: Systemd, peer: FakeSystemd) -> None:
    """Several at once get each their own answers, over one connection."""
    for number in range(200):
        peer.properties[f"{UNIT}n{number}", "Service.NRestarts"] = ("u", number)
    found: dict[int, list[Any]] = {}

    def ask(start: int) -> None:
        found[start] = source.get([(f"{UNIT}n{n}", systemd.SERVICE_RESTARTS) for n in range(start, start + 100)])

    threads = [threading.Thread(target=ask, args=(start,)) for start in (0, 50, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {start: list(range(start, start + 100)) for start in (0, 50, 100)}
    assert len(set(peer.askers)) == 1


@needs_bus
@pytest.mark.parametrize(
    "answer", [("as", ["a.service"]), ("s", "no units"), ("a(ssssssous)", [(*ROW[:8], "")]), ("t", 5)]
)
def test_units_of_another_type(source: Systemd, peer: FakeSystemd, answer: Any) -> None:
    """An answer of another signature is not one, and the next that fits is."""
    right, peer.units = peer.units, answer
    with pytest.raises(Malformed, match=r"ListUnits: type a\(ssssssouso\) expected"):
        source.units()
    peer.units = right
    assert len(source.units()) == 30


@needs_bus
def test_a_property_of_another_type(source: Systemd, peer: FakeSystemd) -> None:
    """It costs that property."""
    peer.properties[f"{UNIT}tick_2etimer", "Timer.LastTriggerUSec"] = ("s", "yesterday")
    trigger, version = source.get([(f"{UNIT}tick_2etimer", systemd.TIMER_LAST_TRIGGER), (MANAGER, systemd.VERSION)])
    assert isinstance(trigger, Malformed)
    assert version == "257.13-1~deb13u1"


@needs_bus
def test_a_text_that_is_too_long_for_a_label(source: Systemd, peer: FakeSystemd) -> None:
    """255 characters are not."""
    for name in ("Version", "Virtualization"):
        peer.properties[MANAGER, f"Manager.{name}"] = ("s", "é" * (256 if name == "Version" else 255))
    version, virtualization = source.get([(MANAGER, systemd.VERSION), (MANAGER, systemd.VIRTUALIZATION)])
    assert isinstance(version, Malformed)
    assert len(str(version)) < 300
    assert virtualization == "é" * 255


@needs_bus
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("org.freedesktop.DBus.Error.AccessDenied", Denied),
        ("org.freedesktop.DBus.Error.UnknownObject", Gone),
        ("org.freedesktop.DBus.Error.NoReply", Overdue),
        ("org.freedesktop.DBus.Error.InvalidArgs", SourceError),
    ],
)
def test_a_refusal(source: Systemd, peer: FakeSystemd, name: str, kind: type[SourceError]) -> None:
    """What systemd answers instead is told apart by its name, with its words."""
    peer.units = Failure(name, "Not today")
    with pytest.raises(SourceError, match=f"{name}: Not today") as caught:
        source.units()
    assert type(caught.value) is kind


@needs_bus
def test_a_bus_that_forbids_it(tmp_path: Path) -> None:
    """The bus itself refuses to pass the question on."""
    rule = '<deny send_interface="org.freedesktop.systemd1.Manager" send_member="ListUnits"/>'
    private = PrivateBus(tmp_path, rule)
    private.start()
    fake = FakeSystemd()
    fake.start(private)
    try:
        with pytest.raises(Denied, match="AccessDenied"):
            Systemd(private.address, timeout_s=10).units()
    finally:
        fake.stop()
        private.stop()


@needs_bus
def test_a_node_without_systemd(source: Systemd) -> None:
    """There is a bus, and nobody has the name: this node has no such thing."""
    with pytest.raises(Absent, match="NameHasNoOwner"):
        source.units()
    assert isinstance(source.get([(MANAGER, systemd.VERSION)])[0], Absent)


@needs_bus
def test_a_systemd_that_hangs(bus: PrivateBus, peer: FakeSystemd) -> None:
    """The wait ends. A late answer is not taken for the next question's: that comes over a new connection."""
    source = Systemd(bus.address, timeout_s=1)
    source.get([(MANAGER, systemd.VERSION)])
    right, peer.units = peer.units, Silence()
    with pytest.raises(Overdue, match="no answer within 1 s"):
        source.units()
    peer.units = right
    assert len(source.units()) == 30
    assert len(peer.askers) == 3, "who hangs is not asked again at once"
    assert peer.askers[0] == peer.askers[1] != peer.askers[2]


@needs_bus
def test_a_property_that_hangs(bus: PrivateBus, peer: FakeSystemd) -> None:
    """One question without an answer costs those that were asked with it."""
    peer.properties[MANAGER, "Manager.Version"] = Silence()
    with pytest.raises(Overdue):
        Systemd(bus.address, timeout_s=0.3).get([(MANAGER, systemd.VIRTUALIZATION), (MANAGER, systemd.VERSION)])


@needs_bus
def test_a_bus_that_goes_away_and_comes_back(bus: PrivateBus, peer: FakeSystemd, source: Systemd) -> None:
    """While it is away that is said; when it is back, units are told again."""
    assert len(source.units()) == 30
    bus.stop()
    with pytest.raises(SourceError, match="bus"):
        source.units()
    peer.stop()
    bus.start()
    peer.start(bus)
    assert len(source.units()) == 30


@needs_bus
def test_a_bus_that_was_restarted_between_collections(bus: PrivateBus, peer: FakeSystemd, source: Systemd) -> None:
    """The kept connection is found dead and made anew: no collection is lost."""
    assert len(source.units()) == 30
    bus.stop()
    peer.stop()
    bus.start()
    peer.start(bus)
    assert len(source.units()) == 30
    assert len(set(peer.askers)) == 1  # a new bus counts from the start


Call = Callable[[Systemd], Any]


@pytest.mark.parametrize("call", [Systemd.units, lambda source: source.get([(MANAGER, systemd.VERSION)])])
def test_no_bus(tmp_path: Path, call: Call) -> None:
    """Gone, with the path that was tried."""
    with pytest.raises(Gone, match=str(tmp_path / "bus")):
        call(Systemd(str(tmp_path / "bus"), timeout_s=10))


def python(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout


def test_without_its_library() -> None:
    """Everything loads, and the first collection says what to install."""
    program = """
import sys
sys.modules["jeepney"] = None
from agent.collectors.systemd import Systemd
from agent.errors import Unsupported
from agent.sources import systemd
for ask in (lambda s: s.units(), lambda s: s.get([])):
    try:
        ask(systemd.Systemd("/nowhere", 1))
    except Unsupported as error:
        print(error.detail)
"""
    said = python(program).splitlines()
    assert len(said) == 2
    assert all(line.endswith("pip install 'headroom-agent[systemd]'") for line in said)


def test_the_library_is_loaded_late() -> None:
    """Who does not collect does not load it."""
    program = """
import sys
from agent.collectors import systemd
print("jeepney" in sys.modules)
"""
    assert python(program) == "False\n"
