"""Asking in the background: what is kept, counted and said."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.exposition.render import Renderer
from agent.model import Writer
from agent.sources.kubelet import poller
from agent.sources.kubelet.client import Client, Limits
from agent.sources.kubelet.configz import parse_configz
from agent.sources.kubelet.endpoint import PODS, SUMMARY, parse_endpoint
from agent.sources.kubelet.flagz import parse_flagz
from agent.sources.kubelet.pods import parse_pods
from agent.sources.kubelet.poller import Poller
from agent.sources.kubelet.slot import Document, Kubelet
from agent.sources.kubelet.summary import parse_summary
from agent.sources.kubelet.trust import Trust
from tests.kubelet import scripted
from tests.kubelet.bodies import body, flagz
from tests.kubelet.conftest import Start
from tests.kubelet.scripted import Script, ScriptedKubelet, recorded, says

pytestmark = pytest.mark.needs("openssl")
SMALL = Limits(body_bytes=1 << 20, seconds=0.5)
NOON_S = 1795217520.0  # 8 s after the kubelet made the recorded summary


class Clock:
    """Calls whose clocks stand still."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic_s(self) -> float:
        return self.now_s

    def time_s(self) -> float:
        return NOON_S - 1000.0 + self.now_s


class Asking:
    """A poller of a scripted kubelet, driven by hand."""

    def __init__(self, scripted: ScriptedKubelet, ca: str, interval_s: float = 60.0, urgent_s: float = 10.0) -> None:
        self.kubelet = Kubelet()
        self.clock = Clock()
        client = Client(parse_endpoint(scripted.url), Trust(ca), limits=SMALL)
        self.poller = Poller(self.kubelet, client, self.clock, interval_s, urgent_s)

    def samples(self) -> dict[str, float]:
        out = Writer()
        for instrument in self.poller.telemetry.instruments:
            instrument.write(out)
        lines = Renderer().render(out.blocks, "text").decode().splitlines()
        parts = [line.rpartition(" ") for line in lines if not line.startswith("#")]
        return {series.removeprefix("headroom_kubelet_"): float(value) for series, _, value in parts}


@pytest.fixture
def answering(start: Start) -> ScriptedKubelet:
    return start("signed")


@pytest.fixture
def asking(answering: ScriptedKubelet, certificates: Path) -> Asking:
    return Asking(answering, str(certificates / "ca.pem"))


def test_a_round_fills_the_slot(asking: Asking, answering: ScriptedKubelet) -> None:
    """All three documents on one connection, with the time at which they were asked for."""
    asking.poller.round()
    assert asking.kubelet.pods() == Document(parse_pods(body("idle", "pods")), 1000.0, NOON_S)
    assert asking.kubelet.summary() == Document(parse_summary(body("idle", "stats_summary")), 1000.0, NOON_S)
    assert asking.kubelet.configz() == Document(parse_configz(body("idle", "configz")), 1000.0, NOON_S)
    assert answering.connections == 1
    samples = asking.samples()
    assert samples['requests_total{path="/pods",code="200"}'] == 1
    assert samples['request_duration_seconds_count{path="/stats/summary"}'] == 1
    assert not any(series.startswith("errors_total") for series in samples)


def test_ages_are_those_of_the_statistics(asking: Asking) -> None:
    """By the kubelet's own times, the oldest of each kind, and older as time passes; no document, no age."""
    assert asking.samples() == {}
    asking.poller.round()
    asking.clock.now_s += 30
    samples = {series: value for series, value in asking.samples().items() if series.startswith("stat_age")}
    assert samples == {
        'stat_age_seconds{kind="pods"}': 30,
        'stat_age_seconds{kind="summary"}': 30,
        'stat_age_seconds{kind="configz"}': 30,
        'stat_age_seconds{kind="node_memory"}': 43,
        'stat_age_seconds{kind="nodefs"}': 43,
        'stat_age_seconds{kind="imagefs"}': 45,
        'stat_age_seconds{kind="pids"}': 38,
        'stat_age_seconds{kind="pod_memory"}': samples['stat_age_seconds{kind="pod_memory"}'],
        'stat_age_seconds{kind="container_memory"}': samples['stat_age_seconds{kind="container_memory"}'],
        'stat_age_seconds{kind="volume"}': samples['stat_age_seconds{kind="volume"}'],
    }
    assert 38 <= samples['stat_age_seconds{kind="container_memory"}'] <= 60


def test_an_age_is_never_negative(asking: Asking, answering: ScriptedKubelet) -> None:
    """A statistic of the second that has just begun."""
    answering.script["/stats/summary"] = says(200, b'{"node": {"memory": {"time": "2030-01-01T00:00:00Z"}}}')
    asking.poller.round()
    assert asking.samples()['stat_age_seconds{kind="node_memory"}'] == 0


@pytest.mark.parametrize(
    ("script", "reason", "code"),
    [
        (says(401), "unauthorized", "401"),
        (scripted.forbidden, "forbidden", "403"),
        (says(404), "not_found", "404"),
        (says(500), "server_error", "500"),
        (scripted.hang, "timeout", "none"),
        (says(200, b" " * 40_000_000), "too_large", "200"),
        (says(200, b"not JSON"), "malformed", "200"),
        (says(200, b'{"node": 1}'), "malformed", "200"),
        (scripted.truncated, "truncated", "200"),
        (scripted.reset, "reset", "none"),
    ],
)
def test_a_failure_is_counted_and_said_once_and_costs_its_path(
    asking: Asking,
    answering: ScriptedKubelet,
    capfd: pytest.CaptureFixture[str],
    script: Script,
    reason: str,
    code: str,
) -> None:
    """What was last said stays in use; recovering is said too, and failing again once more."""
    asking.poller.round()
    before = asking.kubelet.summary()
    answering.script["/stats/summary"] = script
    for _ in range(2):
        asking.clock.now_s += 60
        asking.poller.round()
    assert asking.kubelet.summary() is before
    pods = asking.kubelet.pods()
    assert pods is not None
    assert pods.taken_s == 1120.0
    samples = asking.samples()
    assert samples[f'errors_total{{path="/stats/summary",reason="{reason}"}}'] == 2
    assert samples[f'requests_total{{path="/stats/summary",code="{code}"}}'] == (3 if code == "200" else 2)
    assert samples['requests_total{path="/pods",code="200"}'] == 3
    assert samples['stat_age_seconds{kind="summary"}'] == 120
    (line,) = capfd.readouterr().err.splitlines()
    assert "level=warn" in line
    assert f"path=/stats/summary reason={reason}" in line
    assert ('grant="get on nodes/stats"' in line) == (reason == "forbidden")

    answering.script["/stats/summary"] = recorded
    for _ in range(2):
        asking.poller.round()
    (line,) = capfd.readouterr().err.splitlines()
    assert 'msg="the kubelet answers again" path=/stats/summary' in line
    answering.script["/stats/summary"] = script
    asking.poller.round()
    assert len(capfd.readouterr().err.splitlines()) == 1


def test_another_reason_is_said_again(
    asking: Asking, answering: ScriptedKubelet, capfd: pytest.CaptureFixture[str]
) -> None:
    """But only then."""
    for status in (401, 403, 403, 401):
        answering.script["/pods"] = says(status)
        asking.poller.ask(PODS)
    lines = capfd.readouterr().err.splitlines()
    assert [line.partition("reason=")[2].split()[0] for line in lines] == ["unauthorized", "forbidden", "unauthorized"]


def test_nobody_there(certificates: Path, start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    """Every path fails and is said; the slot stays empty."""
    gone = start("signed")
    asking = Asking(gone, str(certificates / "ca.pem"))
    gone.stop()
    gone.stop = lambda: None  # type: ignore[method-assign]  # it has been
    asking.poller.round()
    assert (asking.kubelet.pods(), asking.kubelet.summary(), asking.kubelet.configz()) == (None, None, None)
    samples = asking.samples()
    assert [samples[f'errors_total{{path="{path}",reason="refused"}}'] for path in scripted.DOCUMENTS] == [1, 1, 1]
    assert len(capfd.readouterr().err.splitlines()) == 3


@pytest.fixture
def running(answering: ScriptedKubelet, certificates: Path) -> Iterator[Asking]:
    """A poller on its thread, with an hour between rounds at rest and none where it is urgent."""
    asking = Asking(answering, str(certificates / "ca.pem"), interval_s=3600.0, urgent_s=0.001)
    thread = None

    def begin() -> Asking:
        nonlocal thread
        thread = asking.poller.start()
        return asking

    asking.begin = begin  # type: ignore[attr-defined]
    yield asking
    asking.poller.stop()
    if thread is not None:
        thread.join(5)
        assert not thread.is_alive()


def counting(answering: ScriptedKubelet, path: str, script: Script = recorded) -> threading.Semaphore:
    """Released once for each request of the path."""
    asked = threading.Semaphore(0)

    def count(handler: scripted.Handler) -> None:
        asked.release()
        script(handler)

    answering.script[path] = count
    return asked


def test_it_hurries_while_it_is_urgent(running: Asking, answering: ScriptedKubelet) -> None:
    """Urgency wakes it at once, and keeps it asking; what does not change is not asked for more often."""
    pods, configz = counting(answering, "/pods"), counting(answering, "/configz")
    running.begin()  # type: ignore[attr-defined]
    assert pods.acquire(timeout=5)
    assert configz.acquire(timeout=5)
    assert not pods.acquire(timeout=0.05)
    running.kubelet.urgent = True
    for _ in range(3):
        assert pods.acquire(timeout=5)
    running.kubelet.urgent = False
    assert not configz.acquire(timeout=0.05)


class Time:
    """What the poller sleeps on, and its clock: waiting lets the time pass at once, up to the next event."""

    def __init__(self, asking: Asking, events: dict[float, Callable[[], None]], end_s: float) -> None:
        self._now_s = 0.0
        self._poller = asking.poller
        self._events = sorted(events.items())
        self._end_s = end_s

    def monotonic(self) -> float:
        return self._now_s

    def wait(self, seconds: float) -> None:
        until_s = self._now_s + seconds
        if self._events and self._events[0][0] <= until_s:
            self._now_s, happen = self._events.pop(0)
            happen()
        elif until_s > self._end_s:
            self._poller.stop()
        else:
            self._now_s = until_s

    def set(self) -> None:
        pass

    clear = set


@pytest.fixture
def timetable(
    asking: Asking, answering: ScriptedKubelet, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[tuple[float, str]]]:
    """When the poller asks for what, with an hour's events in a moment."""

    def play(events: dict[float, Callable[[], None]], end_s: float, **scripts: Script) -> list[tuple[float, str]]:
        time = Time(asking, events, end_s)
        monkeypatch.setattr(poller, "time", time)
        monkeypatch.setattr(asking.kubelet, "wake", time)
        asked: list[tuple[float, str]] = []

        def noted(path: str, script: Script) -> Script:
            def answer(handler: scripted.Handler) -> None:
                asked.append((time.monotonic(), path))
                script(handler)

            return answer

        for path in (*scripted.DOCUMENTS, scripted.FLAGZ):
            name = path.rpartition("/")[2]
            answering.script[path] = noted(name, scripts.get(name, recorded))
        asking.poller.run()
        return asked

    return play


def everything(at_s: float) -> list[tuple[float, str]]:
    return [(at_s, "pods"), (at_s, "summary"), (at_s, "configz")]


def test_new_containers_are_named_soon(asking: Asking, timetable: Callable[..., list[tuple[float, str]]]) -> None:
    """By pods alone, once each time that somebody says so, never sooner than after 10 s; all else goes on."""

    def look() -> None:
        asking.kubelet.unnamed = True

    asked = timetable({5.0: look, 25.0: look, 52.0: look}, 119)
    assert asked == [*everything(0), (10, "pods"), (25, "pods"), (52, "pods"), *everything(60)]


def test_new_containers_are_no_reason_to_press_who_refuses(
    asking: Asking, timetable: Callable[..., list[tuple[float, str]]]
) -> None:
    """A kubelet that does not give its pods is asked for them when it is asked for all else."""

    def look() -> None:
        asking.kubelet.unnamed = True

    assert timetable({5.0: look}, 119, pods=says(403)) == [*everything(0), *everything(60)]


def test_urgency_is_for_pods_and_summary(asking: Asking, timetable: Callable[..., list[tuple[float, str]]]) -> None:
    """Every 10 s while it lasts; the configuration goes with the first summary after it is due."""

    def urgent(value: bool) -> Callable[[], None]:
        return lambda: setattr(asking.kubelet, "urgent", value)

    asked = timetable({75.0: urgent(True), 90.0: urgent(False)}, 150)
    both = [(at_s, name) for at_s in (75, 85) for name in ("pods", "summary")]
    assert asked == [*everything(0), *everything(60), *both, *everything(145)]


def test_a_configuration_that_failed_goes_with_the_next_summary(
    asking: Asking, timetable: Callable[..., list[tuple[float, str]]]
) -> None:
    """It is small, and asked for once a minute otherwise."""

    def urgent() -> None:
        asking.kubelet.urgent = True

    asked = timetable({5.0: urgent}, 20, configz=says(500))
    assert asked == [*everything(0), *everything(10), *everything(20)]


def no_flags(handler: scripted.Handler) -> None:
    """As a kubelet that has none to tell."""
    handler.answer(404, b"404 page not found\n", content_type="text/plain; charset=utf-8")


def in_turn(*scripts: Script) -> Script:
    """One after the other; the last one from then on."""
    left = list(scripts)
    return lambda handler: (left.pop(0) if len(left) > 1 else left[0])(handler)


def times(asked: list[tuple[float, str]], name: str) -> list[float]:
    return [at_s for at_s, path in asked if path == name]


def test_flags_are_asked_once_where_they_are_wanted(
    asking: Asking, answering: ScriptedKubelet, timetable: Callable[..., list[tuple[float, str]]]
) -> None:
    """In the next round, after the configuration and on its connection; then no more."""

    def want() -> None:
        asking.kubelet.wants_flagz = True

    asked = timetable({5.0: want}, 3800)
    assert asked[3:8] == [*everything(60), (60, "flagz"), (120, "pods")]
    assert times(asked, "flagz") == [60]
    assert answering.connections == len(times(asked, "configz"))
    assert asking.kubelet.flagz() == Document(parse_flagz(flagz("idle")), 1000.0, NOON_S)
    samples = asking.samples()
    assert samples['requests_total{path="/flagz",code="200"}'] == 1
    assert samples['request_duration_seconds_count{path="/flagz"}'] == 1


def test_flags_that_nobody_wants_are_not_asked(
    asking: Asking, timetable: Callable[..., list[tuple[float, str]]]
) -> None:
    """The command line told what there is to know."""
    assert times(timetable({}, 200), "flagz") == []
    assert asking.kubelet.flagz() is None


def test_flags_are_asked_again_of_a_kubelet_that_was_away(
    asking: Asking, timetable: Callable[..., list[tuple[float, str]]]
) -> None:
    """Never without a configuration, and what was known stays until then."""
    asking.kubelet.wants_flagz = True
    moved = says(200, b"kubelet flagz\nroot-dir: /new\n", content_type="text/plain")
    away = in_turn(recorded, recorded, says(500), says(500), recorded)
    asked = timetable({}, 600, configz=away, flagz=in_turn(recorded, moved))
    assert times(asked, "flagz") == [0, 240]
    document = asking.kubelet.flagz()
    assert document is not None
    assert document.value == {"root-dir": "/new"}


def test_flags_that_are_refused_are_asked_for_every_hour(
    asking: Asking, timetable: Callable[..., list[tuple[float, str]]], capfd: pytest.CaptureFixture[str]
) -> None:
    """Counted each time, said once, and no warning: many kubelets do not serve them."""
    asking.kubelet.wants_flagz = True
    asked = timetable({}, 7300, flagz=in_turn(no_flags, says(403), no_flags))
    assert times(asked, "flagz") == [0, 3600, 7200]
    assert asking.kubelet.flagz() is None
    samples = asking.samples()
    assert samples['errors_total{path="/flagz",reason="not_found"}'] == 2
    assert samples['errors_total{path="/flagz",reason="forbidden"}'] == 1
    assert samples['requests_total{path="/flagz",code="404"}'] == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "level=info" in line
    assert 'path=/flagz reason=not_found error="status 404: 404 page not found"' in line


def test_flags_that_were_refused_may_come_with_another_kubelet(
    asking: Asking, timetable: Callable[..., list[tuple[float, str]]]
) -> None:
    """An upgrade is not waited for an hour; what cannot be parsed counts as refused."""
    asking.kubelet.wants_flagz = True
    broken = says(200, b"statusz\n", content_type="text/plain")
    asked = timetable(
        {}, 600, configz=in_turn(recorded, recorded, says(503), recorded), flagz=in_turn(broken, recorded)
    )
    assert times(asked, "flagz") == [0, 180]
    assert asking.kubelet.flagz() is not None
    assert asking.samples()['errors_total{path="/flagz",reason="malformed"}'] == 1


def test_at_rest_every_round_asks_for_everything(answering: ScriptedKubelet, certificates: Path) -> None:
    """A little earlier or later within its round, the configuration is still of that round."""
    pods, configz = counting(answering, "/pods"), counting(answering, "/configz")
    asking = Asking(answering, str(certificates / "ca.pem"), interval_s=0.05)
    thread = asking.poller.start()
    for _ in range(6):
        assert pods.acquire(timeout=5)
        assert configz.acquire(timeout=5)
    asking.poller.stop()
    thread.join(5)
    asked = [path for path, _ in answering.requests]
    assert abs(asked.count("/pods") - asked.count("/configz")) <= 1


def test_it_waits_for_a_kubelet_that_is_not_up_yet(running: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection costs nobody anything, and the first names should not take a minute."""
    came = threading.Semaphore(0)
    connect = poller.Client._connection
    refusals = iter([ConnectionRefusedError()] * 5)

    def later(client: Client, path: str, deadline_s: float) -> object:
        came.release()
        for refusal in refusals:
            raise refusal
        return connect(client, path, deadline_s)

    monkeypatch.setattr(Client, "_connection", later)
    running.begin()  # type: ignore[attr-defined]
    for _ in range(8):
        assert came.acquire(timeout=5)


def test_a_hang_holds_up_nobody_who_looks(running: Asking, answering: ScriptedKubelet) -> None:
    """While the kubelet is silent the slot answers at once."""
    asked = counting(answering, SUMMARY.path, scripted.hang)
    running.begin()  # type: ignore[attr-defined]
    assert asked.acquire(timeout=5)
    assert running.kubelet.summary() is None
    assert running.kubelet.pods() is not None


def test_a_defect_ends_the_thread(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody meant to raise reaches the hook by which the process ends: a half-alive agent lies."""
    died: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: died.append(args.thread.name))
    monkeypatch.setattr(Client, "get", lambda client, path: {}[path])
    asking.poller.start().join(5)
    assert died == ["kubelet"]
