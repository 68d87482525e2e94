"""``headroom compare`` as people run it: real processes, and what is left of them."""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.compare.plan import BEHIND_S
from tests.peers.processes import REPOSITORY
from tests.stream.waiting import until
from tests.tools import peers

PATIENCE_S = 60.0
SHORT = ("--scenario", "steady", "--interval", "500ms", "--duration", "3s", "--nodes", "1")


class Run:
    """One run, with a directory for temporary files of its own, and no Prometheus on PATH."""

    def __init__(self, place: Path, flags: Sequence[str]) -> None:
        self.temporary = place / "tmp"
        self.temporary.mkdir()
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(self.temporary), "PATH": "/nowhere"}
        command = (sys.executable, "-m", "agent.cli", "compare", *flags)
        self.began_s = time.monotonic()
        self._log = open(place / "stderr", "w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log, text=True
        )

    def children(self) -> list[tuple[int, str]]:
        """PID and command line of each process that it started."""
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        commands = ((int(pid), Path(f"/proc/{pid}/cmdline")) for pid in found)
        return [(pid, file.read_bytes().replace(b"\0", b" ").decode()) for pid, file in commands]

    def log(self) -> str:
        return Path(self._log.name).read_text()

    def wait(self) -> tuple[int, str, str]:
        """Exit status, what it printed, and its last line on stderr."""
        out, _ = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, (self.log().splitlines() or [""])[-1]

    def left(self) -> list[Path]:
        return list(self.temporary.iterdir())

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        self._log.close()


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[list[Run]]:
    started: list[Run] = []
    yield started
    for run in started:
        run.close()


def start(runs: list[Run], place: Path, *flags: str) -> Run:
    runs.append(Run(place, flags))
    return runs[-1]


@pytest.mark.needs("prometheus")
def test_a_real_run_with_a_real_prometheus(runs: list[Run], tmp_path: Path) -> None:
    """Steady, nothing is lost and what was pulled is what was pushed; cut off, pull loses those rounds, and push
    nothing."""
    output, prometheus = tmp_path / "output", peers.path("prometheus")
    flags = ("--duration", "14s", "--nodes", "1", "--prometheus", str(prometheus), "--output", str(output))
    run = start(runs, tmp_path, *flags)
    status, out, last = run.wait()
    assert status == 0, last
    assert time.monotonic() - run.began_s < 14 + 30
    assert run.left() == []
    assert out == (output / "compare.txt").read_text()
    assert "Pulled by Prometheus 3." in out
    document = json.loads((output / "compare.json").read_text())
    figures = {(one["scenario"], one["transport"]): one for each in document["scenarios"] for one in each["figures"]}
    assert list(figures) == [(s, t) for s in ("steady", "outage") for t in ("pull", "push")]
    for one in figures.values():
        assert 0 < one["agent_cpu"] < 1
        assert 0 < one["receiver_cpu"] < 1
        assert 0 < one["age_median_s"] <= one["age_p99_s"]
        assert one["bytes_per_sample"] > 0.1
    check_steady(document["scenarios"][0], figures["steady", "pull"], figures["steady", "push"])
    check_outage(document["scenarios"][1], figures["outage", "pull"], figures["outage", "push"])


def check_steady(scenario: dict[str, Any], pull: dict[str, Any], push: dict[str, Any]) -> None:
    for one in (pull, push):
        assert (one["rounds"], one["lost"], one["declared"], one["samples_lost"]) == (7, 0, 0, 0)
        assert 0.4 < one["age_median_s"] < 0.8
    check_same(scenario)
    assert pull["samples"] == pytest.approx(push["samples"], rel=0.01)
    assert pull["samples"] > 7 * 500
    assert push["bytes_per_sample"] < pull["bytes_per_sample"]


def check_same(scenario: dict[str, Any]) -> None:
    """Every batch of a scrape that came before the push did, which is in this time after its usual moment."""
    scrapes = scenario["scrapes"]["node-1"]
    usual_s = statistics.median(at_s % 1 for at_s, _, _ in scrapes)
    in_time = [batch_s for _, batch_s, _ in scrapes if (batch_s - usual_s) % 1 < BEHIND_S]
    pushed = [batch_s for batch_s, _, _ in scenario["pushed"]["node-1"]]
    assert in_time
    assert [batch_s for batch_s in in_time if batch_s not in pushed] == []
    assert scenario["batches_pulled"] == 7
    assert len(in_time) <= scenario["batches_pulled_and_seen_pushed"] <= 7


def check_outage(scenario: dict[str, Any], pull: dict[str, Any], push: dict[str, Any]) -> None:
    begin_s, end_s = scenario["cut_unix_s"]
    assert end_s - begin_s == pytest.approx(2.0, abs=0.2)
    assert pull["rounds"] == push["rounds"] == scenario["rounds"] >= 7
    assert (pull["lost"], pull["declared"]) == (2, 2)
    assert (push["lost"], push["declared"], push["samples_lost"]) == (0, 0, 0)
    assert pull["samples_lost"] == pytest.approx(pull["samples"] / (pull["rounds"] - 2) * 2, abs=1)
    failed = [at_s for at_s, batch_s, _ in scenario["scrapes"]["node-1"] if batch_s is None]
    assert all(begin_s < at_s < end_s for at_s in failed)
    assert pull["age_p99_s"] > 2


def test_without_a_prometheus_ours_pulls_and_the_table_says_so(runs: list[Run], tmp_path: Path) -> None:
    """It loses nothing either."""
    run = start(runs, tmp_path, *SHORT, "--output", str(tmp_path))
    status, out, last = run.wait()
    assert status == 0, last
    assert "Pulled by a plain puller of our own" in out
    (steady,) = json.loads((tmp_path / "compare.json").read_text())["scenarios"]
    assert [(one["rounds"], one["lost"]) for one in steady["figures"]] == [(6, 0), (6, 0)]
    assert steady["batches_pulled"] == 6
    assert steady["batches_pulled_and_seen_pushed"] > 0
    assert run.left() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_everything_with_it(runs: list[Run], tmp_path: Path, number: signal.Signals) -> None:
    """Exit code 1, one line, no process and no file."""
    run = start(runs, tmp_path, *SHORT)
    until(lambda: "first scrapes" in run.log())
    children = run.children()
    assert len(children) == 7
    run.process.send_signal(number)
    status, out, last = run.wait()
    assert (status, out) == (1, "")
    assert last == f"headroom compare: ended by {number.name}, before there was anything to tell"
    assert [pid for pid, _ in children if Path(f"/proc/{pid}").exists()] == []
    assert run.left() == []


def test_an_agent_that_dies_ends_it(runs: list[Run], tmp_path: Path) -> None:
    """One line that names it, and nothing is left of the others."""
    run = start(runs, tmp_path, *SHORT)
    until(lambda: "measuring" in run.log())
    children = run.children()
    (agent,) = (pid for pid, command in children if re.search(r" agent .*--spool.dir \S*agent-push-node-1", command))
    os.kill(agent, signal.SIGKILL)
    status, out, last = run.wait()
    assert (status, out) == (1, "")
    assert last.startswith("headroom compare: agent-push-node-1 was ended by signal 9; it said: ")
    assert [pid for pid, _ in children if Path(f"/proc/{pid}").exists()] == []
    assert run.left() == []


def test_nothing_outlives_it_however_it_ends(runs: list[Run], tmp_path: Path) -> None:
    """Also killed outright, also while agents stand still."""
    run = start(runs, tmp_path, *SHORT)
    until(lambda: any(state(pid) == "T" for pid, _ in run.children()))
    children = run.children()
    run.process.kill()
    until(lambda: not [pid for pid, _ in children if state(pid) not in ("", "Z")])


def state(pid: int) -> str:
    """Empty when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return ""


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--scenario", "blackout"), "no such scenario: blackout; there are steady and outage"),
        (("--duration", "5s"), "12s at least"),
        (("--prometheus", "/nonexistent/prometheus"), "/nonexistent/prometheus: No such file or directory"),
        (("--prometheus", sys.executable), "it does not say that it is one"),
        (("--output", "/proc/nowhere"), "--output /proc/nowhere: "),
        (("--nodes", "none"), "is not a whole number"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    runs: list[Run], tmp_path: Path, flags: tuple[str, ...], says: str
) -> None:
    """Before anything is started."""
    run = start(runs, tmp_path, *flags)
    status, out, last = run.wait()
    assert (status, out) == (2, "")
    assert says in last
    assert run.log().count("\n") == 1
    assert run.left() == []


def test_a_puller_that_cannot_run_is_one_line_and_exit_code_1(runs: list[Run], tmp_path: Path) -> None:
    """Something that calls itself Prometheus, and ends when it is to serve."""
    fake = tmp_path / "prometheus"
    fake.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "prometheus, version 0.0" && exit\necho no >&2; exit 3\n')
    fake.chmod(0o755)
    run = start(runs, tmp_path, *SHORT, "--prometheus", str(fake))
    status, out, last = run.wait()
    assert (status, out) == (1, "")
    assert last == "headroom compare: puller-both ended with status 3; it said: no"
    assert run.left() == []
