"""What a node does with a bundle: ``python3 sandbox.py COMMAND BUNDLE ...``, here or in a guest. Standard library only.

``network`` makes its network, ``up`` starts it as the kubelet would, ``run`` waits for its end; ``probes`` performs its
probes until it is ready or has failed, ``get`` asks for a path, ``scrape`` a number of times, and says what its cgroup
used for that; ``exec`` runs a command in it, ``usage`` reads its cgroup, ``down`` ends it. Every answer is JSON.
"""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import select
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

T = TypeVar("T")
CLONE_NEWNET: Final = 0x40000000
CGROUPS: Final = Path("/sys/fs/cgroup")
RUNC_S: Final = 60.0
KINDS: Final = {"Directory": os.path.isdir, "File": os.path.isfile, "": os.path.exists}


class SandboxError(Exception):
    """What the kubelet would say of a pod that it cannot start."""


class Sandbox:
    """One container of a pod, in namespaces of its own."""

    def __init__(self, bundle: Path, systemd: bool = False) -> None:
        self.bundle = bundle
        self._node = json.loads((bundle / "node.json").read_text())
        self._systemd = systemd
        self.id: str = self._node["id"]

    def network(self) -> None:
        """A network namespace with nothing in it but a loopback device."""
        _run("ip", "netns", "add", self._node["network"])
        _run("ip", "-n", self._node["network"], "link", "set", "lo", "up")

    def up(self) -> None:
        """Returns when its process runs; what it logs is in the file ``log``. Raises SandboxError."""
        self._start("--detach")

    def run(self) -> None:
        """Returns when it has ended well, as a container must that runs before the others. Raises SandboxError."""
        self._start()

    def _start(self, *options: str) -> None:
        for path, kind in self._node["host"]:
            if kind == "DirectoryOrCreate":
                os.makedirs(path, mode=0o755, exist_ok=True)
            elif not KINDS[kind](path):
                raise SandboxError(f"FailedMount: hostPath type check failed: {path} is not a {kind}")
        with open(self.bundle / "log", "ab") as log:
            code = self._runc("run", *options, "--bundle", str(self.bundle), self.id, stdout=log, stderr=log)
        if code:
            raise SandboxError(f"{self.bundle.name}: exit status {code}: {self.log()}")

    def log(self) -> str:
        return (self.bundle / "log").read_text(errors="replace")

    def pid(self) -> int:
        return int(self._state()["pid"])

    def is_running(self) -> bool:
        return self._state().get("status") == "running"

    def inside(self, do: Callable[[], T]) -> T:
        """Does something in a thread that is in the pod's network."""
        made: list[T] = []
        failed: list[BaseException] = []

        def enter() -> None:
            try:
                with open(f"/run/netns/{self._node['network']}") as namespace:
                    if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                made.append(do())
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return made[0]

    def get(self, path: str, port: int, seconds: float = 10.0, scheme: str = "HTTP") -> tuple[int, str]:
        """Status and body. The certificate of HTTPS is not verified, as the kubelet's probes do not."""
        return self.inside(lambda: _get(path, port, seconds, scheme))

    def probe(self, name: str) -> tuple[bool, str]:
        """One probe, as often as it takes to succeed or to fail, in its period. A name that the pod lacks succeeds."""
        probe = self._node["probes"].get(name)
        if probe is None:
            return True, "no such probe"
        good = bad = 0
        waiting = threading.Event()
        waiting.wait(probe["delay_s"])
        while True:
            began_s = time.monotonic()
            try:
                status, body = self.get(probe["path"], probe["port"], probe["timeout_s"], probe["scheme"])
                succeeded, said = 200 <= status < 400, f"{status} {body.strip()}"
            except OSError as error:
                succeeded, said = False, str(error)
            good, bad = (good + 1, 0) if succeeded else (0, bad + 1)
            if good >= probe["successes"] or bad >= probe["failures"]:
                return succeeded, said
            waiting.wait(max(0.0, probe["period_s"] - (time.monotonic() - began_s)))

    def probes(self) -> dict[str, tuple[bool, str]]:
        """Startup first; the others begin when it has succeeded."""
        made = {"startup": self.probe("startup")}
        if made["startup"][0]:
            made |= {name: self.probe(name) for name in ("liveness", "readiness")}
        return made

    def execute(self, *command: str, seconds: float = RUNC_S) -> tuple[int, str]:
        """Runs a command in the container, with its rights and environment: exit status and what it printed."""
        with open(self.bundle / "exec", "w+b") as out:
            code = self._runc("exec", self.id, *command, stdout=out, stderr=out, seconds=seconds)
            out.seek(0)
            return code, out.read().decode(errors="replace")

    def usage(self) -> dict[str, int]:
        """What its cgroups count: the peak of its memory, OOM kills, CPU time, periods in which it was throttled."""
        return _v2(CGROUPS / self._cgroup("")) if (CGROUPS / "cgroup.controllers").exists() else self._v1()

    def scrape(self, path: str, port: int, times: int) -> dict[str, Any]:
        """Asks so often, one after another; gives the last body and what all of it used."""
        before, began_s = self.usage(), time.monotonic()
        bodies = self.inside(lambda: [_get(path, port, 10.0, "HTTP") for _ in range(times)])
        took_s = time.monotonic() - began_s
        return {
            "statuses": sorted({status for status, _ in bodies}),
            "body": bodies[-1][1],
            "seconds": took_s,
            "before": before,
            "after": self.usage(),
        }

    def down(self) -> dict[str, Any]:
        """SIGTERM, and SIGKILL after the grace period; everything is removed. Says how it went."""
        made: dict[str, Any] = {"seconds": None, "log": ""}
        if self._state().get("status") == "running":
            made["seconds"] = self._terminate()
        self._runc("delete", "--force", self.id, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        subprocess.run(["ip", "netns", "delete", self._node["network"]], capture_output=True, check=False)
        shutil.rmtree(self.bundle / "state", ignore_errors=True)
        if (self.bundle / "log").exists():
            made["log"] = self.log()
        return made

    def _terminate(self) -> float | None:
        """How long it took, or None when the grace period was over first."""
        process = os.pidfd_open(self.pid())
        began_s = time.monotonic()
        try:
            self._runc("kill", self.id, "TERM", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            with_poll = _ended(process, self._node["grace_s"])
            return time.monotonic() - began_s if with_poll else None
        finally:
            os.close(process)

    def _cgroup(self, controller: str) -> str:
        """The container's own, as its process says it."""
        for line in Path(f"/proc/{self.pid()}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controller in controllers.split(","):
                return path.lstrip("/")
        raise SandboxError(f"no cgroup of {controller or 'version 2'}")

    def _v1(self) -> dict[str, int]:
        memory = CGROUPS / "memory" / self._cgroup("memory")
        cpu = CGROUPS / "cpu" / self._cgroup("cpu")
        return {
            "memory_peak_bytes": int((memory / "memory.max_usage_in_bytes").read_text()),
            "memory_limit_bytes": int((memory / "memory.limit_in_bytes").read_text()),
            "memory_working_set_bytes": int((memory / "memory.usage_in_bytes").read_text())
            - dict(_pairs(memory / "memory.stat"))["total_inactive_file"],
            "memory_limit_hits": int((memory / "memory.failcnt").read_text()),
            "oom_kills": dict(_pairs(memory / "memory.oom_control"))["oom_kill"],
            "cpu_us": int((CGROUPS / "cpuacct" / self._cgroup("cpuacct") / "cpuacct.usage").read_text()) // 1000,
            "throttled_periods": dict(_pairs(cpu / "cpu.stat"))["nr_throttled"],
        }

    def _state(self) -> dict[str, Any]:
        with open(self.bundle / "said", "w+b") as out:
            code = self._runc("state", self.id, stdout=out, stderr=subprocess.DEVNULL)
            out.seek(0)
            return {} if code else dict(json.load(out))

    def _runc(self, command: str, *arguments: str, stdout: Any, stderr: Any, seconds: float = RUNC_S) -> int:
        """Its stdio is never a pipe: a container inherits it, and would keep it open."""
        options = ["--root", str(self.bundle / "state"), *(["--systemd-cgroup"] if self._systemd else [])]
        return subprocess.run(
            ["runc", *options, command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            timeout=seconds,
            check=False,
        ).returncode


def _get(path: str, port: int, seconds: float, scheme: str) -> tuple[int, str]:
    connection: http.client.HTTPConnection
    if scheme == "HTTPS":
        unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=seconds, context=unverified)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except http.client.HTTPException as error:
        raise OSError(repr(error)) from None
    finally:
        connection.close()


def _v2(cgroup: Path) -> dict[str, int]:
    cpu, events = dict(_pairs(cgroup / "cpu.stat")), dict(_pairs(cgroup / "memory.events"))
    return {
        "memory_peak_bytes": int((cgroup / "memory.peak").read_text()),
        "memory_limit_bytes": int((cgroup / "memory.max").read_text()),
        "memory_working_set_bytes": int((cgroup / "memory.current").read_text())
        - dict(_pairs(cgroup / "memory.stat"))["inactive_file"],
        "memory_limit_hits": events["max"],
        "oom_kills": events["oom_kill"],
        "cpu_us": cpu["usage_usec"],
        "throttled_periods": cpu["nr_throttled"],
    }


def _pairs(file: Path) -> Iterator[tuple[str, int]]:
    for line in file.read_text().splitlines():
        name, value = line.split()
        yield name, int(value)


def _ended(process: int, seconds: float) -> bool:
    poll = select.poll()  # for select itself a descriptor can be too large
    poll.register(process, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SandboxError(f"{' '.join(command)}: {done.stderr}")


def main(command: str, bundle: str, *arguments: str) -> int:
    one = Sandbox(Path(bundle), systemd=True)
    if command == "scrape":
        path, port, times = arguments
        answer: Any = one.scrape(path, int(port), int(times))
    elif command == "get":
        path, port = arguments
        answer = one.get(path, int(port))
    elif command == "exec":
        answer = one.execute(*arguments)
    else:
        answer = {
            "network": one.network,
            "up": one.up,
            "run": one.run,
            "probes": one.probes,
            "usage": one.usage,
            "down": one.down,
        }[command]()
    socket.setdefaulttimeout(None)
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
