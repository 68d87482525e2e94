"""The end that pulls: a real Prometheus, or where there is none a plain puller of ours. Both tell the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import quote

from agent.compare.asking import Asker
from agent.compare.child import Child
from agent.compare.look import Ask, Look
from agent.compare.workplace import Workplace
from agent.errors import ConfigError

READY_S: Final = 20.0
LISTENING: Final = r'msg="Listening on" (?:component=web )?address=(\S+):(\d+)'
BATCH: Final = "node_time_seconds"
PLAIN: Final = "a plain puller of our own (no Prometheus here, so its CPU says nothing about one)"
Pause = Callable[[float], None]


class Scrape(NamedTuple):
    """One try. ``batch_s`` is the node's clock in what came, None when nothing did."""

    time_s: float
    batch_s: float | None
    samples: int


class Puller(Protocol):
    """Started by its constructor."""

    child: Child

    def ready(self, pause: Pause) -> None:
        """Raises ChildError."""
        ...

    def asker(self) -> Ask:
        """For one thread: what there is to see, by node. Raises AskError."""
        ...

    def scrapes(self, begin_s: float, end_s: float) -> dict[str, list[Scrape]]:
        """Every try in that time, by node, the oldest first. Raises AskError."""
        ...


class Program(NamedTuple):
    """Who pulls. An empty path is our own puller."""

    path: str
    title: str


def find(given: str) -> Program:
    """Raises ConfigError for one that was given and cannot be run."""
    path = given or shutil.which("prometheus") or ""
    if not path:
        return Program("", PLAIN)
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, errors="replace", timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        why = getattr(error, "strerror", None) or "it does not say its version within 30 s"
        raise ConfigError(f"--prometheus {path}: {why}") from None
    said = (done.stdout + done.stderr).split()
    if done.returncode or said[:2] != ["prometheus,", "version"]:
        raise ConfigError(f"--prometheus {path}: it does not say that it is one")
    return Program(os.path.abspath(path), f"Prometheus {said[2]}")


def start(program: Program, name: str, targets: Mapping[str, str], interval_s: float, place: Workplace) -> Puller:
    """``targets`` are addresses by node. Raises ChildError."""
    if program.path:
        return Prometheus(program.path, name, targets, interval_s, place)
    return Plain(name, targets, interval_s, place)


class Prometheus:
    def __init__(
        self, program: str, name: str, targets: Mapping[str, str], interval_s: float, place: Workplace
    ) -> None:
        file = os.path.join(place.directory, f"{name}.yml")
        with open(file, "w") as out:
            json.dump(_configuration(targets, interval_s), out)  # JSON is YAML
        storage = os.path.join(place.directory, f"{name}.data")
        command = [
            *(program, f"--config.file={file}", f"--storage.tsdb.path={storage}"),
            "--web.listen-address=127.0.0.1:0",
        ]
        self.child = place.start(name, command)

    def ready(self, pause: Pause) -> None:
        found = self.child.wait_for(LISTENING, pause, READY_S)
        self._address = (found[1], int(found[2]))
        self.child.wait_for("Server is ready to receive web requests", pause, READY_S)

    def asker(self) -> Ask:
        asker = Asker(self.child.name, self._address)

        def newest() -> dict[str, Look]:
            asked_s = time.time()
            found = _query(asker, BATCH)
            return {one["metric"]["node"]: Look(asked_s, float(one["value"][1])) for one in found}

        return newest

    def scrapes(self, begin_s: float, end_s: float) -> dict[str, list[Scrape]]:
        asker = Asker(self.child.name, self._address)
        try:
            tried, batches, samples = (
                _raw(asker, name, begin_s, end_s) for name in ("up", BATCH, "scrape_samples_scraped")
            )
        finally:
            asker.close()
        return {
            node: [
                Scrape(at, batches.get(node, {}).get(at), int(samples.get(node, {}).get(at, 0)))
                for at in sorted(times)
                if begin_s <= at < end_s
            ]
            for node, times in tried.items()
        }


def _configuration(targets: Mapping[str, str], interval_s: float) -> dict[str, Any]:
    interval = f"{round(interval_s * 1000)}ms"
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval},
        "scrape_configs": [
            {
                "job_name": "headroom",
                "static_configs": [
                    {"targets": [address], "labels": {"node": node}} for node, address in targets.items()
                ],
            }
        ],
    }


def _query(asker: Asker, expression: str, at_s: float | None = None) -> list[Any]:
    at = "" if at_s is None else f"&time={at_s:.3f}"
    found: list[Any] = asker.json(f"/api/v1/query?query={quote(expression)}{at}")["data"]["result"]
    return found


def _raw(asker: Asker, name: str, begin_s: float, end_s: float) -> dict[str, dict[float, float]]:
    """The samples as they were stored, by node and time."""
    span_ms = round((end_s - begin_s) * 1000) + 1000
    found = _query(asker, f"{name}[{span_ms}ms]", end_s)
    return {one["metric"]["node"]: {float(at): float(text) for at, text in one["values"]} for one in found}


class Plain:
    """``puller`` as a process, which writes a line for each scrape."""

    def __init__(self, name: str, targets: Mapping[str, str], interval_s: float, place: Workplace) -> None:
        command = [sys.executable, "-m", "agent.compare.puller", json.dumps([interval_s, dict(targets)])]
        self.child = place.start(name, command)
        self._lines = os.path.join(place.directory, f"{name}.out")

    def ready(self, pause: Pause) -> None:
        pass

    def asker(self) -> Ask:
        batches: dict[str, float] = {}
        read = [0]

        def newest() -> dict[str, Look]:
            asked_s = time.time()
            with open(self._lines) as file:
                file.seek(read[0])
                for line in iter(file.readline, ""):
                    node, _, batch_s, _ = json.loads(line)
                    if batch_s is not None:
                        batches[node] = batch_s
                read[0] = file.tell()
            return {node: Look(asked_s, batch_s) for node, batch_s in batches.items()}

        return newest

    def scrapes(self, begin_s: float, end_s: float) -> dict[str, list[Scrape]]:
        found: dict[str, list[Scrape]] = {}
        with open(self._lines) as file:
            for line in file:
                node, *scrape = json.loads(line)
                if begin_s <= scrape[0] < end_s:
                    found.setdefault(node, []).append(Scrape(*scrape))
        return found
