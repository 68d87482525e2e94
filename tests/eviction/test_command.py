"""``headroom eviction`` as people run it: on a machine with an agent, without one, with a kubelet, as a normal user."""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.kubelet.bodies import body
from tests.kubelet.scripted import DOCUMENTS, ScriptedKubelet, says
from tests.peers.processes import REPOSITORY, start_agent

API = "/api/v1/eviction"
PATIENCE_S = 60
COLUMNS = 100
PAINT = re.compile("\033\\[[0-9;]*m")
CLEAR = "\033[H\033[J"
AS_NOBODY = """
import ctypes, os, sys
from agent.cli import main
main(sys.argv[1:])  # which loads everything: where it is installed may be closed to nobody
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, as after an exec: else /proc/self is root's
print("uid", os.getuid(), flush=True)
sys.exit(main(sys.argv[1:]))
"""
_LIKE = {"node": "", "origin": "file", "signals": [], "conditions": {}, "limits_exceeded": [], "notes": []}
NEARLY = [  # the names of an agent's fields, and other values
    json.dumps(_LIKE | other).encode()
    for other in ({"origin": "x"}, {"signals": [{}]}, {"signals": 1}, {"conditions": []}, {"limits_exceeded": ["x"]})
]
COMMAND = (sys.executable, "-m", "agent.cli", "eviction")


@pytest.fixture
def kubelet() -> Iterator[ScriptedKubelet]:
    """One under memory pressure, without TLS."""
    scripted = ScriptedKubelet()
    scripted.script = {path: says(200, body("memory-pressure", name)) for path, name in DOCUMENTS.items()}
    yield scripted
    scripted.stop()


@pytest.fixture
def nobody_listens() -> str:
    """An address at which nothing answers."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return f"127.0.0.1:{sock.getsockname()[1]}"


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), **more}


def run(*flags: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *flags], capture_output=True, text=True, timeout=PATIENCE_S, env=environment(), **more
    )


def shown(*flags: str, **more: Any) -> list[str]:
    """The lines of a table that was printed without a complaint."""
    done = run(*flags, **more)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def signals(lines: list[str]) -> set[str]:
    """Those that have a row."""
    return {line.split()[0] for line in lines if re.match(r"\w+\.\w+ ", line)}


def refused(*flags: str) -> tuple[int, str]:
    """The exit code, and the one line that says why."""
    done = run(*flags)
    assert done.stdout == ""
    assert done.stderr.startswith("headroom eviction: ")
    assert done.stderr.count("\n") == 1
    return done.returncode, done.stderr


def test_on_a_machine_without_kubernetes(nobody_listens: str) -> None:
    """Our own reading against Kubernetes' defaults, marked as such. No colours, as this is no terminal."""
    lines = shown("--listen", nobody_listens)
    assert lines[0].startswith("this node: ")
    assert "Thresholds: Kubernetes' defaults" in lines[0]
    assert lines[2].split()[:3] == ["SIGNAL", "AVAILABLE", "THRESHOLD"]
    assert {"memory.available", "nodefs.available", "nodefs.inodesFree", "pid.available"} <= signals(lines)
    assert "\033" not in "".join(lines)


@pytest.mark.needs("root")
def test_as_a_normal_user(nobody_listens: str) -> None:
    """Nobody sees less of the machine, and the same signals."""
    command = [sys.executable, "-c", AS_NOBODY, "eviction", "--listen", nobody_listens]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, env=environment(), check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.partition("uid 65534\n")[2].splitlines()
    assert {"memory.available", "nodefs.available", "nodefs.inodesFree", "pid.available"} <= signals(lines)


def test_the_agent_s_answer_is_shown() -> None:
    """It knows more; ``none`` is a look of this process's own."""
    with start_agent("--node-name", "of-the-agent") as agent:
        listen = f"127.0.0.1:{agent.address[1]}"
        flags = ("--node-name", "here", "--json")
        said = [
            json.loads(run(*flags, *whom).stdout)
            for whom in (("--listen", listen), ("--ask", f"http://{listen}"), ("--listen", listen, "--ask", "none"))
        ]
    assert [one["node"] for one in said] == ["of-the-agent", "of-the-agent", "here"]


def test_an_agent_that_wants_credentials(tmp_path: Path) -> None:
    """With its token it is asked; without, this process looks itself, unless somebody insists."""
    token = tmp_path / "token"
    token.write_text("secret\n")
    guarded = ("--http.token-file", str(token))
    with start_agent("--node-name", "of-the-agent", *guarded) as agent:
        listen = f"127.0.0.1:{agent.address[1]}"
        assert shown("--listen", listen, *guarded)[0].startswith("of-the-agent: ")
        assert shown("--listen", listen)[0].startswith("this node: ")
        code, why = refused("--ask", f"http://{listen}")
    assert code == 1
    assert "status 401" in why


def test_whoever_is_asked_and_is_no_agent(kubelet: ScriptedKubelet, nobody_listens: str) -> None:
    """One line, and 1; 2 for what is no URL. Whoever was not named is passed over, whatever it says."""
    assert refused("--ask", kubelet.url)[0] == 1
    for said in (b"{}", b"[1]", b"null", b"[" * 100_000, b"\xff", *NEARLY):
        kubelet.script[API] = says(200, said)
        code, why = refused("--ask", kubelet.url)
        assert code == 1
        assert f"{kubelet.url}{API}: " in why
    assert shown("--listen", f"127.0.0.1:{kubelet.port}")[0].startswith("this node: ")
    assert refused("--ask", f"http://{nobody_listens}")[0] == 1
    for url in ("nonsense", "http://192.0.2.1:1", "http://127.0.0.1:1/path"):
        code, why = refused("--ask", url)
        assert code == 2
        assert "--ask" in why


def test_with_a_kubelet_the_next_pods_are_named(kubelet: ScriptedKubelet, nobody_listens: str) -> None:
    """It is asked once for each document; its thresholds are in force, and three pods stand in the row."""
    lines = shown("--listen", nobody_listens, "--kubelet.url", kubelet.url)
    assert "Thresholds: the kubelet's /configz." in lines[0]
    memory = next(line for line in lines if line.startswith("memory.available "))
    assert re.search(r"  default/[\w-]+, default/[\w-]+, default/[\w-]+$", memory)
    assert sorted(path for path, _ in kubelet.requests) == sorted(DOCUMENTS)
    said = json.loads(run("--listen", nobody_listens, "--kubelet.url", kubelet.url, "--json").stdout)
    orders = {one["signal"]: one["next_by_source"].get("kubelet", []) for one in said["signals"]}
    assert all(f"default/{pod['pod']}" in orders["memory.available"] for pod in said["signals"][0]["next"][:3])


def test_a_kubelet_that_does_not_tell_all(kubelet: ScriptedKubelet, nobody_listens: str) -> None:
    """What it refuses is a note below the table; one that is not there is asked once."""
    kubelet.script["/configz"] = says(403, b"Forbidden", content_type="text/plain")
    lines = shown("--listen", nobody_listens, "--kubelet.url", kubelet.url)
    assert "Thresholds: Kubernetes' defaults" in lines[0]
    assert [line for line in lines if line.startswith("The kubelet does not tell /configz: status 403")]
    lines = shown("--listen", nobody_listens, "--kubelet.url", f"http://{nobody_listens}")
    assert len([line for line in lines if line.startswith("The kubelet does not tell")]) == 1


def test_a_crossed_threshold_is_said_in_the_table_alone(nobody_listens: str, tmp_path: Path) -> None:
    """The log would stand in its way."""
    lines = shown("--listen", nobody_listens, "--kubelet.config-file", crossed(tmp_path))
    assert lines[0].startswith("this node: DiskPressure. Thresholds: the kubelet's configuration file.")
    assert [line for line in lines if line.startswith("nodefs.available ") and "CROSSED" in line]


def crossed(place: Path) -> str:
    """A configuration whose threshold every disk has crossed. JSON is YAML."""
    file = place / "kubelet.yaml"
    said = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}
    file.write_text(json.dumps({**said, "evictionHard": {"nodefs.available": "99.99%"}}))
    return str(file)


class Terminal:
    """A command on a terminal of so many columns."""

    def __init__(self, *flags: str, **variables: str) -> None:
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
        variables = environment(**variables)
        variables.pop("NO_COLOR", None) if "NO_COLOR" not in variables else None
        self.process = subprocess.Popen([*COMMAND, *flags], stdout=slave, stderr=subprocess.PIPE, env=variables)
        os.close(slave)
        self.text = ""

    def read_until(self, happened: Callable[[str], bool]) -> str:
        deadline_s, ready = time.monotonic() + PATIENCE_S, select.poll()  # select(2) ends at descriptor 1023
        ready.register(self.master, select.POLLIN | select.POLLHUP)
        while not happened(self.text):
            assert ready.poll(max(0.0, deadline_s - time.monotonic()) * 1000), self.text
            try:
                self.text += os.read(self.master, 65536).decode()
            except OSError:  # nobody writes any more
                break
        return self.text.replace("\r\n", "\n")

    def end(self) -> tuple[int, str]:
        _, complaint = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, complaint.decode()


@contextmanager
def terminal(*flags: str, **variables: str) -> Iterator[Terminal]:
    started = Terminal(*flags, **variables)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.wait()
        if started.process.stderr is not None:
            started.process.stderr.close()
        os.close(started.master)


def test_on_a_terminal_it_has_colours_and_its_width(nobody_listens: str, tmp_path: Path) -> None:
    """What is crossed is red; a line is never longer than the terminal."""
    with terminal("--listen", nobody_listens, "--kubelet.config-file", crossed(tmp_path)) as screen:
        text = screen.read_until(lambda _: False)
        assert screen.end() == (0, "")
    red = next(line for line in text.splitlines() if line.startswith("\033[31;1mnodefs.available "))
    assert "CROSSED" in red
    table = PAINT.sub("", text).split("\n\n")[1]
    assert max(map(len, table.splitlines())) <= COLUMNS


def test_no_color_is_obeyed(nobody_listens: str, tmp_path: Path) -> None:
    """no-color.org: whatever its value, on a terminal too."""
    with terminal("--listen", nobody_listens, "--kubelet.config-file", crossed(tmp_path), NO_COLOR="1") as screen:
        text = screen.read_until(lambda _: False)
        assert screen.end() == (0, "")
    assert "CROSSED" in text
    assert "\033" not in text


def test_watching_repaints_until_ctrl_c(nobody_listens: str) -> None:
    """From the top of the screen, every second; then it ends with 0 and no trace."""
    with terminal("--listen", nobody_listens, "--watch") as screen:
        text = screen.read_until(lambda text: text.count(CLEAR) >= 3)
        screen.process.send_signal(signal.SIGINT)
        assert screen.end() == (0, "")
    first, second = text.split(CLEAR)[1:3]
    assert "memory.available" in first
    assert "memory.available" in second


def test_watching_as_json_is_a_document_a_line(nobody_listens: str) -> None:
    """For programs: no repainting, no empty lines."""
    command = [*COMMAND, "--listen", nobody_listens, "--watch", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()) as one:
        assert one.stdout is not None
        said = [json.loads(one.stdout.readline()) for _ in range(2)]
        one.send_signal(signal.SIGINT)
        _, complaint = one.communicate(timeout=PATIENCE_S)
    assert (one.returncode, complaint) == (0, "")
    assert said[0]["time_seconds"] < said[1]["time_seconds"]


def test_watching_goes_on_asking_the_kubelet(kubelet: ScriptedKubelet, nobody_listens: str) -> None:
    """As the agent does: what it refused at first is known when it tells, and the note is gone."""
    kubelet.script["/configz"] = says(503, b"not yet", content_type="text/plain")
    flags = ("--kubelet.url", kubelet.url, "--kubelet.poll-interval", "1s", "--watch", "--json")
    command = [*COMMAND, "--listen", nobody_listens, *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()) as one:
        assert one.stdout is not None
        first = last = json.loads(one.stdout.readline())
        kubelet.script["/configz"] = says(200, body("memory-pressure", "configz"))
        deadline_s = time.monotonic() + PATIENCE_S
        while last["origin"] != "configz" and time.monotonic() < deadline_s:
            last = json.loads(one.stdout.readline())
        one.send_signal(signal.SIGINT)
        assert one.communicate(timeout=PATIENCE_S)[1] == ""
    refusal = "The kubelet does not tell /configz: status 503: not yet; headroom doctor says why."
    assert (first["origin"], refusal in first["notes"]) == ("default", True)
    assert (last["origin"], refusal in last["notes"]) == ("configz", False)


def test_watching_outlives_an_agent_that_is_replaced(kubelet: ScriptedKubelet) -> None:
    """It says that nobody answers, and shows the next one; whoever never answered ends it at once."""
    kubelet.script[API] = says(200, json.dumps({**_LIKE, "time_seconds": 1}).encode())
    command = [*COMMAND, "--ask", kubelet.url, "--watch", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()) as one:
        assert one.stdout is not None
        assert one.stderr is not None
        assert json.loads(one.stdout.readline())["time_seconds"] == 1
        kubelet.script[API] = says(503, b"")
        assert "status 503" in one.stderr.readline()
        kubelet.script[API] = says(200, json.dumps({**_LIKE, "time_seconds": 2}).encode())
        while json.loads(one.stdout.readline())["time_seconds"] != 2:
            pass
        one.send_signal(signal.SIGINT)
        assert one.wait(PATIENCE_S) == 0


@pytest.mark.parametrize("flags", [(), ("--watch",), ("--json",)])
def test_whoever_reads_no_further_is_not_complained_to(nobody_listens: str, flags: tuple[str, ...]) -> None:
    """``headroom eviction | head -1``."""
    reads, writes = os.pipe()
    os.close(reads)
    command = [*COMMAND, "--listen", nobody_listens, *flags]
    try:
        done = subprocess.run(
            command,
            stdout=writes,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE_S,
            env=environment(),
            check=False,
        )
    finally:
        os.close(writes)
    assert (done.returncode, done.stderr) == (1, "")


def test_where_nothing_can_be_read(tmp_path: Path, nobody_listens: str) -> None:
    """1, as there is nothing to show; no traceback."""
    places = [flag for tree in ("procfs", "sysfs", "rootfs") for flag in (f"--path.{tree}", str(tmp_path / "none"))]
    done = run("--listen", nobody_listens, *places)
    assert (done.returncode, done.stderr) == (1, "")
    assert "No signal can be read here." in done.stdout
