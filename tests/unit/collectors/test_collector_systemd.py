"""The systemd collector."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.collectors import CATALOG
from agent.collectors import systemd as module
from agent.collectors.systemd import STATES, Systemd
from agent.engine.lanes import Collector
from agent.errors import Absent, Denied, Gone, Malformed, Overdue, SourceError, Unsupported
from agent.model import Writer
from agent.sources import systemd as source
from agent.sources.calls import RecordedCalls
from agent.sources.host import Host
from agent.sources.systemd import MANAGER
from tests.unit.fake_systemd import RECORDED, UNITS, Failure, FakeSystemd, PrivateBus, Silence

pytestmark = pytest.mark.needs("dbus-daemon")
UNIT = "/org/freedesktop/systemd1/unit/"
DEFAULTS = {
    setting.key.removeprefix("collector.systemd."): setting.default
    for entry in CATALOG
    if entry.name == "systemd"
    for setting in entry.settings
}
EVERYTHING = dict.fromkeys(("enable_task_metrics", "enable_restarts_metrics", "enable_start_time_metrics"), True)
Collect = Callable[[Collector], Any]


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
def make(make_host: Callable[..., Host], bus: PrivateBus) -> Callable[..., Systemd]:
    """A collector with the default settings but for those given."""

    def collector(**options: Any) -> Systemd:
        given = {name.replace("_", "-"): value for name, value in options.items()}
        return Systemd(make_host({}), DEFAULTS | {"address": bus.address} | given)

    return collector


def state(samples: dict[str, float], name: str, type: str = "") -> list[str]:
    """The states that a unit is in."""
    series = {one: f'node_systemd_unit_state{{name="{name}",state="{one}",type="{type}"}}' for one in STATES}
    assert set(series.values()) <= samples.keys()
    return [one for one in STATES if samples[series[one]]]


def test_a_recorded_node_as_its_peer_saw_it(make: Callable[..., Systemd], collect: Collect, peer: FakeSystemd) -> None:
    """Every family with its type and HELP, every series and every value, as node_exporter 1.11.1 had them there."""
    ours = collect(make(**EVERYTHING))
    lines = (RECORDED / "node_exporter.prom").read_text().splitlines()
    theirs = {series: float(value) for series, _, value in (x.rpartition(" ") for x in lines if x[0] != "#")}
    of_all = {series for series in theirs if series.startswith("node_systemd_units{")}  # of more units than we have
    assert len(theirs) == 181
    assert ours.errors == []
    assert {s: v for s, v in ours.items() if s not in of_all} == {s: v for s, v in theirs.items() if s not in of_all}
    assert {x for x in ours.text.splitlines() if x[0] == "#"} == {x for x in lines if x[0] == "#"}


def test_all_families_are_seen(make: Callable[..., Systemd], collect: Collect, peer: FakeSystemd) -> None:
    """With every flag each declared family has samples; without, those behind flags have none and are not asked for."""
    every = collect(make(**EVERYTHING))
    for family in Systemd.families:
        assert f"\n{family.name}" in every.text, family
    questions = len(peer.askers)
    few = collect(make())
    behind = {re.split(r"[{ ]", series)[0] for series in every.keys() - few.keys()}
    assert behind == {
        "node_systemd_service_restart_total",
        "node_systemd_unit_start_time_seconds",
        "node_systemd_unit_tasks_current",
        "node_systemd_unit_tasks_max",
    }
    assert len(peer.askers) - questions < questions / 2


def test_the_summary_is_of_all_units(make: Callable[..., Systemd], collect: Collect, peer: FakeSystemd) -> None:
    """Also of those that the filter leaves out and of those not loaded; a passing state is counted under its name."""
    rows = json.loads(json.dumps(peer.units[1]))
    rows[0][3] = "reloading"
    peer.units = (UNITS, [tuple(row) for row in rows])
    samples = collect(make())
    assert {s: v for s, v in samples.items() if s.startswith("node_systemd_units")} == {
        'node_systemd_units{state="active"}': 19,
        'node_systemd_units{state="activating"}': 1,
        'node_systemd_units{state="deactivating"}': 0,
        'node_systemd_units{state="failed"}': 2,
        'node_systemd_units{state="inactive"}': 7,
        'node_systemd_units{state="reloading"}': 1,
    }
    assert state(samples, rows[0][0]) == []


def test_a_failed_service(make: Callable[..., Systemd], collect: Collect, peer: FakeSystemd) -> None:
    """What the alerts of the Kubernetes mixins ask: which unit failed, and which is restarted again and again."""
    samples = collect(make(enable_restarts_metrics=True))
    assert state(samples, "crashing.service", "simple") == ["failed"]
    assert state(samples, "kubelet.service", "simple") == ["active"]
    assert samples['node_systemd_service_restart_total{name="crashing.service"}'] == 4
    assert samples['node_systemd_service_restart_total{name="kubelet.service"}'] == 0


def test_no_limit_is_no_number(make: Callable[..., Systemd], collect: Collect, peer: FakeSystemd) -> None:
    """A service that does not run has no tasks to count, and one without a limit has no maximum."""
    peer.properties[f"{UNIT}kubelet_2eservice", "Service.TasksMax"] = ("t", 2**64 - 1)
    samples = collect(make(enable_task_metrics=True))
    assert samples['node_systemd_unit_tasks_current{name="kubelet.service"}'] == 1
    assert samples['node_systemd_unit_tasks_max{name="broken.service"}'] == 1152
    assert 'node_systemd_unit_tasks_max{name="kubelet.service"}' not in samples
    assert 'node_systemd_unit_tasks_current{name="broken.service"}' not in samples


def names(samples: dict[str, float]) -> set[str]:
    return {found[1] for series in samples if (found := re.match(r'node_systemd_unit_state{name="([^"]*)"', series))}


@pytest.mark.parametrize(
    ("include", "exclude", "reported"),
    [
        (r".+\.timer", "", {"tick.timer", "never.timer"}),
        (r".+\.timer", r"tick.*", {"never.timer"}),
        ("timer", "", set()),  # the whole name must match
        ("tick", "", set()),
        (r".+\.mount", r"nothing", {"-.mount", "tmp.mount"}),  # the third is masked
        ("", "", set()),
        (r"(?i)TICK\..*", "", {"tick.timer", "tick.service"}),
        (r"tick\.timer|echo", r"", {"tick.timer"}),
    ],
)
def test_which_units_are_reported(
    make: Callable[..., Systemd], collect: Collect, peer: FakeSystemd, include: str, exclude: str, reported: set[str]
) -> None:
    """Loaded units whose whole name the one regexp matches and the other does not."""
    collector = make(unit_include=include, unit_exclude=exclude)
    assert names(collect(collector)) == reported
    assert names(collect(collector)) == reported  # the verdicts are remembered


def test_a_mount_has_the_type_of_its_filesystem(
    make: Callable[..., Systemd], collect: Collect, peer: FakeSystemd
) -> None:
    """Mounts are left out unless asked for."""
    samples = collect(make(unit_exclude=""))
    assert state(samples, "tmp.mount", "tmpfs") == ["active"]
    assert state(samples, "init.scope") == ["active"]
    assert not any('name="tmp.mount"' in series for series in collect(make()))


def test_names_that_need_escapes(make: Callable[..., Systemd], collect: Collect, peer: FakeSystemd) -> None:
    """They are as they are, in valid text format."""
    peer.only("tick.service")
    name = 'a"b\\x2d\n%s é.service'
    peer.units = (UNITS, [(name, *row[1:]) for row in peer.units[1]])
    samples = collect(make(unit_include="(?s).+"))
    assert state(samples, 'a\\"b\\\\x2d\\n%s é.service', "oneshot") == ["inactive"]


def test_units_come_and_go(make: Callable[..., Systemd], collect: Collect, peer: FakeSystemd) -> None:
    """The keys are the same object while nothing changes, also in another order, and new ones when something does."""
    collector = make(**EVERYTHING)
    rows = peer.units[1]

    def keys() -> dict[str, Any]:
        out = Writer()
        collector.collect(out)
        return {block.family.name: block.keys for block in out.blocks}

    first = keys()
    peer.units = (UNITS, rows[::-1])
    second = keys()
    assert [name for name, kept in second.items() if len(kept) > 1 and kept is not first[name]] == []
    peer.units = (UNITS, [row for row in rows if row[0] != "kubelet.service"])
    gone = keys()["node_systemd_unit_state"]
    assert {key[0] for key in first["node_systemd_unit_state"]} - {key[0] for key in gone} == {"kubelet.service"}
    assert "kubelet.service" not in collector._verdicts


def test_too_many_units(
    make: Callable[..., Systemd], collect: Collect, peer: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those beyond the limit are left out, always the same ones, and that is said and counted."""
    monkeypatch.setattr(module, "UNITS_MAX", 3)
    samples = collect(make())
    assert names(samples) == {"basic.target", "broken.service", "crashing.service"}
    assert samples['node_systemd_units{state="active"}'] == 20
    assert [(error.reason, str(error)) for error in samples.errors] == [
        ("failed", "units: only 3 of 21 are reported: leave some out with --collector.systemd.unit-exclude")
    ]


def test_too_many_states(make: Callable[..., Systemd], collect: Collect, peer: FakeSystemd) -> None:
    """systemd has eight; a label of any number of values is none of its."""
    rows = peer.units[1]
    peer.units = (UNITS, [(*row[:3], f"state {number}", *row[4:]) for number, row in enumerate(rows)])
    with pytest.raises(Malformed, match="35 states"):
        collect(make())


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("257.13-1~deb13u1", 257.13),
        ("systemd 257 (257.9)", 257.0),
        ("249.11-0ubuntu3.16", 249.11),
        ("255", 255.0),
        ("v261~rc1-1", 261.0),
    ],
)
def test_the_version(
    make: Callable[..., Systemd], collect: Collect, peer: FakeSystemd, said: str, version: float
) -> None:
    """Its first number of three digits, with the words as a label."""
    peer.properties[MANAGER, "Manager.Version"] = ("s", said)
    assert collect(make())[f'node_systemd_version{{version="{said}"}}'] == version


def test_a_version_without_a_number(make: Callable[..., Systemd], collect: Collect, peer: FakeSystemd) -> None:
    """It is left out, not 0; the rest is there."""
    peer.properties[MANAGER, "Manager.Version"] = ("s", "rolling")
    samples = collect(make())
    assert "node_systemd_version" not in samples.text
    assert [type(error) for error in samples.errors] == [Malformed]
    assert samples["node_systemd_system_running"] == 0


@pytest.mark.parametrize(("said", "type"), [("kvm", "kvm"), ("", "none")])
def test_what_the_node_is(
    make: Callable[..., Systemd], collect: Collect, peer: FakeSystemd, said: str, type: str
) -> None:
    """A machine of metal says nothing, which is none."""
    peer.properties[MANAGER, "Manager.Virtualization"] = ("s", said)
    assert collect(make())[f'node_systemd_virtualization_info{{virtualization_type="{type}"}}'] == 1


@pytest.mark.parametrize(("said", "value"), [("running", 1), ("degraded", 0), ("starting", 0)])
def test_whether_the_system_runs(
    make: Callable[..., Systemd], collect: Collect, peer: FakeSystemd, said: str, value: int
) -> None:
    """Only when nothing is amiss."""
    peer.properties[MANAGER, "Manager.SystemState"] = ("s", said)
    assert collect(make())["node_systemd_system_running"] == value


def test_an_older_systemd(make: Callable[..., Systemd], collect: Collect, peer: FakeSystemd) -> None:
    """It lacks properties: their families are missing, each said once whatever the number of units."""
    missing = {"Service.NRestarts", "Socket.NRefused", "Timer.LastTriggerUSec", "Manager.SystemState"}
    for key in [key for key in peer.properties if key[1] in missing]:
        del peer.properties[key]
    samples = collect(make(enable_restarts_metrics=True))
    assert {error.path for error in samples.errors} == {f"org.freedesktop.systemd1.{name}" for name in missing}
    assert len(samples.errors) == 4
    assert {type(error) for error in samples.errors} == {Unsupported}
    assert samples['node_systemd_socket_accepted_connections_total{name="echo.socket"}'] == 2
    assert not re.search("restart|refused|trigger|running", samples.text)


def test_a_unit_that_vanishes_meanwhile(make: Callable[..., Systemd], collect: Collect, peer: FakeSystemd) -> None:
    """It was listed and is gone when it is asked: it keeps the state it was listed with, and has no type."""
    for name in ("Type", "NRestarts"):
        peer.properties[f"{UNIT}tick_2eservice", f"Service.{name}"] = Failure(
            "org.freedesktop.DBus.Error.UnknownObject", "Unknown object"
        )
    samples = collect(make(enable_restarts_metrics=True))
    assert state(samples, "tick.service") == ["inactive"]
    assert 'node_systemd_service_restart_total{name="tick.service"}' not in samples
    assert samples['node_systemd_service_restart_total{name="kubelet.service"}'] == 0
    assert {type(error) for error in samples.errors} == {Gone}


def test_a_value_of_another_type(make: Callable[..., Systemd], collect: Collect, peer: FakeSystemd) -> None:
    """It is left out, never guessed."""
    peer.properties[f"{UNIT}echo_2esocket", "Socket.NAccepted"] = ("s", "many")
    samples = collect(make())
    assert 'node_systemd_socket_accepted_connections_total{name="echo.socket"}' not in samples
    assert samples['node_systemd_socket_current_connections{name="echo.socket"}'] == 2
    assert [type(error) for error in samples.errors] == [Malformed]


def test_units_that_do_not_answer(
    make: Callable[..., Systemd], collect: Collect, peer: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was known before stays: the summary and the version. The next collection is whole again."""
    monkeypatch.setattr(source, "TIMEOUT_S", 1)
    collector = make()
    key = (f"{UNIT}kubelet_2eservice", "Service.Type")
    right, peer.properties[key] = peer.properties[key], Silence()
    samples = collect(collector)
    assert [type(error) for error in samples.errors] == [Overdue]
    assert samples['node_systemd_units{state="failed"}'] == 2
    assert 'node_systemd_version{version="257.13-1~deb13u1"}' in samples
    assert "unit_state" not in samples.text
    peer.properties[key] = right
    assert state(collect(collector), "kubelet.service", "simple") == ["active"]


@pytest.mark.parametrize(
    ("units", "kind"),
    [(Failure("org.freedesktop.DBus.Error.AccessDenied", "No"), Denied), (("as", ["a.service"]), Malformed)],
)
def test_no_list_no_metrics(
    make: Callable[..., Systemd], collect: Collect, peer: FakeSystemd, units: Any, kind: type[SourceError]
) -> None:
    """Without its units there is nothing to say about a systemd."""
    peer.units = units
    with pytest.raises(kind):
        collect(make())


def test_a_node_without_systemd(make: Callable[..., Systemd], collect: Collect) -> None:
    """There is a bus, and nothing to collect."""
    with pytest.raises(Absent):
        collect(make())


def test_a_bus_that_goes_away_and_comes_back(
    make: Callable[..., Systemd], collect: Collect, bus: PrivateBus, peer: FakeSystemd
) -> None:
    """The series end, and go on."""
    collector = make()
    before = dict(collect(collector))
    bus.stop()
    with pytest.raises(SourceError):
        collect(collector)
    peer.stop()
    bus.start()
    peer.start(bus)
    assert dict(collect(collector)) == before


def test_a_recorded_node_has_no_bus(make_host: Callable[..., Host], bus: PrivateBus, peer: FakeSystemd) -> None:
    """This machine's systemd is not asked about another node."""
    calls = RecordedCalls({"page_bytes": 4096, "clock_ticks_per_s": 100}, "/")
    collector = Systemd(make_host({}, calls), DEFAULTS | {"address": bus.address})
    with pytest.raises(Unsupported, match="recorded"):
        collector.collect(Writer())
    assert peer.askers == []
