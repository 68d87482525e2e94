"""The virtual machine: boots it, runs commands in it, and ends it by its own PID.

It is emulated, so it needs no KVM, and what it measures is right but slow. Its disk is a snapshot: what a guest writes
is gone at its end. It has no network but the forwarded ports. Whatever becomes of us, the kernel ends it with the
thread that started it; one that outlived its run all the same is known by its directory, and the next ``boot`` ends it.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Self

from tests.node_vm.command import talk
from tests.node_vm.rootfs.opt.commands import PORT, STDERR, STDOUT

NAME: Final = "headroom-node-vm"
MEMORY_MIB: Final = 1024
BOOT_S: Final = 120.0
COMMAND_S: Final = 60.0
STOP_S: Final = 5.0
KERNEL: Final = (
    "root=/dev/nvme0n1 rootfstype=ext4 rw console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off nokaslr tsc=reliable"
    " no_timer_check psi=1 cryptomgr.notests random.trust_cpu=on systemd.show_status=0 audit=0"
)


class MachineError(Exception):
    """The machine did not boot, or a command in it failed or took too long."""


class Done(NamedTuple):
    code: int
    stdout: bytes
    stderr: bytes


class Machine:
    """A running guest. ``with`` ends it. ``forwarded`` are the host's ports by the guest's."""

    def __init__(self, built: Path, place: Path, guest_ports: Sequence[int] = ()) -> None:
        place.mkdir(parents=True, exist_ok=True)
        self.place = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=place))
        self.port, *ports = free_ports(1 + len(guest_ports))
        self.forwarded = dict(zip(guest_ports, ports, strict=True))
        command = _command(built, self.place, {PORT: self.port, **self.forwarded})
        with open(self.place / "log", "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        (self.place / "pid").write_text(str(self.process.pid))

    @classmethod
    def boot(cls, built: Path, place: Path, guest_ports: Sequence[int] = ()) -> Self:
        """Returns when the guest answers. ``place`` is where its run has a directory of its own."""
        end_leftovers(place)
        machine = cls(built, place, guest_ports)
        try:
            machine._wait()
        except BaseException:
            machine.stop()
            raise
        return machine

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self, *argv: str, stdin: bytes = b"", seconds: float = COMMAND_S) -> bytes:
        """What a command printed. Raises MachineError when it fails or takes longer; then it is killed."""
        done = self.call(*argv, stdin=stdin, seconds=seconds)
        if done.code:
            raise MachineError(f"{' '.join(argv)}: exit code {done.code}: {done.stderr.decode(errors='replace')}")
        return done.stdout

    def call(self, *argv: str, stdin: bytes = b"", seconds: float = COMMAND_S) -> Done:
        """The same for a command that may fail."""
        output: dict[int, bytearray] = {STDOUT: bytearray(), STDERR: bytearray()}
        try:
            code = talk(self.port, argv, lambda kind, data: output[kind].extend(data), stdin, seconds)
        except (OSError, EOFError) as error:
            raise MachineError(f"{' '.join(argv)}: {error}\n{self.log()}") from None
        return Done(code, bytes(output[STDOUT]), bytes(output[STDERR]))

    def put(self, source: Path, target: str) -> None:
        """Streams a file or a directory in; ``target`` is its path in the guest."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            tar.add(source, target, filter=lambda info: None if info.name.endswith("__pycache__") else info)
        self.run("tar", "-C", "/", "-xf", "-", stdin=packed.getvalue())

    def log(self) -> str:
        """What QEMU and the guest's console said."""
        files = (self.place / "log", self.place / "console")
        return "\n".join(file.read_text(errors="replace") for file in files if file.exists())

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.place, ignore_errors=True)

    def _wait(self) -> None:
        deadline = time.monotonic() + BOOT_S
        while time.monotonic() < deadline:
            try:
                if self.call("true", seconds=5.0).code == 0:
                    return
            except MachineError:
                pass  # not yet
            try:
                self.process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            raise MachineError(f"QEMU ended: {self.log()}")
        raise MachineError(f"no answer within {BOOT_S} s: {self.log()}")


def end_leftovers(place: Path) -> None:
    """Ends the machines of runs that are over, which only happens when a run could not even die properly."""
    for run in place.glob("*"):
        if Path(f"/proc/{run.name.partition('-')[0]}").exists():
            continue
        try:
            pid = int((run / "pid").read_text())
            if f"file:{run}/console".encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                os.kill(pid, signal.SIGKILL)
        except (OSError, ValueError):
            pass  # it is gone already, or never started
        shutil.rmtree(run, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on at this moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [sock.getsockname()[1] for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()


def _command(built: Path, place: Path, ports: Mapping[int, int]) -> list[str]:
    """QEMU, started by its own loader and with its own libraries: this machine's release is older.

    The disk is NVMe because the kernel has that driver, and ext4, built in: there is no initramfs.
    """
    libraries = built / "qemu/lib/x86_64-linux-gnu"
    forwarding = "".join(f",hostfwd=tcp:127.0.0.1:{host}-:{guest}" for guest, host in ports.items())
    return [
        *("setpriv", "--pdeathsig", "KILL"),
        *(f"{libraries}/ld-linux-x86-64.so.2", "--argv0", "qemu-system-x86_64"),
        *("--library-path", f"{libraries}:{libraries}/pulseaudio", f"{built}/qemu/bin/qemu-system-x86_64"),
        *("-L", f"{built}/qemu/share/qemu", "-L", f"{built}/qemu/share/seabios"),
        *("-name", NAME, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-monitor", "none"),
        *("-M", "microvm,pcie=on,rtc=on,isa-serial=on,pit=on,pic=on", "-cpu", "qemu64,svm=off"),
        *("-accel", "tcg,thread=multi,tb-size=512", "-m", str(MEMORY_MIB), "-smp", "2"),
        *("-kernel", f"{built}/vmlinux", "-append", f"{KERNEL} tsc_early_khz={_tsc_khz()}"),
        *("-drive", f"file={built}/root.img,if=none,id=disk,format=raw,snapshot=on,cache=unsafe"),
        *("-device", "nvme,drive=disk,serial=disk"),
        *("-netdev", f"user,id=wire,restrict=on{forwarding}", "-device", "virtio-net-pci,netdev=wire,romfile="),
        *("-device", "virtio-rng-pci", "-serial", f"file:{place}/console"),
    ]


def _tsc_khz() -> int:
    """The guest's clock is ours: to measure its rate would take seconds, and go wrong."""
    found = re.search(r"^cpu MHz\s*: (\d+)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return int(found[1]) * 1000 if found else 2_000_000
