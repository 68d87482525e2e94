"""The virtual machine itself: what tests rely on when they run things in it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.node_vm import machine
from tests.node_vm.machine import Machine, MachineError

HOUR_S = 3600


@pytest.mark.needs("node-vm")
class TestGuest:
    """One machine for all of them."""

    def test_it_is_a_cgroup_v2_node(self, node_vm: Machine) -> None:
        """One hierarchy with the controllers that the kubelet needs, pressure, and systemd."""
        controllers = node_vm.run("cat", "/sys/fs/cgroup/cgroup.controllers").split()
        assert {b"cpu", b"io", b"memory", b"pids"} <= set(controllers)
        assert node_vm.run("cat", "/proc/pressure/memory").startswith(b"some avg10=")
        assert node_vm.run("cat", "/proc/1/comm") == b"systemd\n"

    def test_a_command_s_output_and_code_are_its_own(self, node_vm: Machine) -> None:
        """stdin, stdout, stderr and the exit code pass through; one that fails raises with what it said."""
        done = node_vm.call("sh", "-c", "cat; echo broken >&2; exit 7", stdin=b"\x00in")
        assert done == (7, b"\x00in", b"broken\n")
        with pytest.raises(MachineError, match="exit code 7: broken"):
            node_vm.run("sh", "-c", "echo broken >&2; exit 7")
        with pytest.raises(MachineError, match="no-such-program"):
            node_vm.run("no-such-program")

    def test_a_command_that_takes_too_long_is_killed(self, node_vm: Machine) -> None:
        """It does not go on in the guest, nor does what it started."""
        with pytest.raises(MachineError, match=r"not done after 0\.5 s"):
            node_vm.run("sh", "-c", "sleep 54321 & sleep 54321", seconds=0.5)
        node_vm.run("sh", "-c", "while grep -qs '[5]4321' /proc/[0-9]*/cmdline; do :; done", seconds=20)

    def test_files_are_streamed_in(self, node_vm: Machine, tmp_path: Path) -> None:
        """A directory arrives with its content, whatever its size."""
        (tmp_path / "large").write_bytes(bytes(range(256)) * 20_000)
        (tmp_path / "below").mkdir()
        (tmp_path / "below/small").write_text("here")
        node_vm.put(tmp_path, "opt/put")
        assert node_vm.run("cat", "/opt/put/below/small") == b"here"
        assert node_vm.run("cat", "/opt/put/large") == bytes(range(256)) * 20_000

    def test_its_clock_is_ours(self, node_vm: Machine) -> None:
        """Times of day in the guest can be compared with the host's."""
        assert abs(float(node_vm.run("date", "+%s")) - time.time()) < HOUR_S

    def test_it_has_no_other_network(self, node_vm: Machine) -> None:
        """Nothing outside can be reached from it, this machine included."""
        dial = f"import socket; socket.create_connection(('10.0.2.2', {node_vm.port}), 2)"
        assert node_vm.call("python3", "-c", dial).code != 0

    def test_a_command_from_the_shell(self, node_vm: Machine) -> None:
        """The same by hand, to look into a guest."""
        command = [sys.executable, "-m", "tests.node_vm.command", str(node_vm.port), "sh", "-c", "echo hi; exit 3"]
        done = subprocess.run(command, capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (3, b"hi\n")


def test_a_machine_that_outlived_its_run_is_ended(tmp_path: Path) -> None:
    """It is known by the directory of a run whose process is no more; one whose process lives is left alone."""
    dead = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(dead, 0)
    leftover, ours = (stand_in(tmp_path / f"{pid}-a") for pid in (dead, os.getpid()))
    try:
        machine.end_leftovers(tmp_path)
        assert leftover.wait(5) != 0
        assert ours.poll() is None
        assert [run.name for run in tmp_path.iterdir()] == [f"{os.getpid()}-a"]
    finally:
        for process in (leftover, ours):
            process.kill()
            process.wait()


def test_a_stranger_with_the_same_pid_is_left_alone(tmp_path: Path) -> None:
    """PIDs are used again: the process must say that it is the run's machine."""
    dead = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(dead, 0)
    run = tmp_path / f"{dead}-a"
    run.mkdir()
    (run / "pid").write_text(str(os.getpid()))
    machine.end_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == []


def stand_in(run: Path) -> subprocess.Popen[bytes]:
    """A process that looks like the machine of a run."""
    run.mkdir()
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)", f"file:{run}/console"])
    (run / "pid").write_text(str(process.pid))
    return process
