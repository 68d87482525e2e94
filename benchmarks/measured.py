"""A process under measurement: its CPU time, its memory, and a client that scrapes it.

CPU is the cpuacct cgroup's (nanoseconds, all threads, ended ones too) where a cgroup v1 hierarchy can be written,
else utime + stime of /proc/<pid>/stat. The working set is what the kubelet would see: memory.usage minus inactive
file pages, kernel memory included. Both programs run once
beforehand, so that neither pays for first reading its files.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

CONTROLLERS = ("cpuacct", "memory")
V1 = Path("/sys/fs/cgroup")


class Measured:
    """One started process. Use as a context manager; it ends by SIGTERM."""

    def __init__(self, name: str, command: Sequence[str], port: int) -> None:
        self.name = name
        self.port = port
        self._command = list(command)
        self._groups = {
            c: V1 / c / f"headroom-bench-{os.getpid()}-{name}" for c in CONTROLLERS if (V1 / c / "tasks").exists()
        }

    def __enter__(self) -> Measured:
        for group in self._groups.values():
            group.mkdir(exist_ok=True)
        self.started_s = time.perf_counter()
        self._process = subprocess.Popen(
            self._command, preexec_fn=self._join, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        return self

    def _join(self) -> None:
        for group in self._groups.values():
            (group / "cgroup.procs").write_text(str(os.getpid()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(10)
        for group in self._groups.values():
            group.rmdir()

    def first_answer_s(self, path: str = "/metrics", patience_s: float = 10.0) -> float:
        """From the start of the process to its first 200."""
        while time.perf_counter() - self.started_s < patience_s:
            try:
                with Scraper(self.port) as scraper:
                    scraper.get(path)
                return time.perf_counter() - self.started_s
            except OSError:
                continue
        raise TimeoutError(f"{self.name} did not answer {path} in {patience_s} s")

    def cpu_s(self) -> float:
        if "cpuacct" in self._groups:
            return int((self._groups["cpuacct"] / "cpuacct.usage").read_text()) / 1e9
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self) -> int:
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def working_set_bytes(self) -> int | None:
        """None where there is no memory cgroup to measure with."""
        if "memory" not in self._groups:
            return None
        usage = int((self._groups["memory"] / "memory.usage_in_bytes").read_text())
        stat = dict(line.split() for line in (self._groups["memory"] / "memory.stat").read_text().splitlines())
        return usage - int(stat["total_inactive_file"])


class Scraper:
    """A keep-alive HTTP client that costs little, so that the machine measures the server."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), 10)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Scraper:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def get(self, path: str, *headers: str) -> bytes:
        """The body of a 200. Raises OSError for everything else."""
        lines = (f"GET {path} HTTP/1.1", "Host: bench", *headers, "", "")
        self._sock.sendall("\r\n".join(lines).encode())
        head, _, body = self._until(b"\r\n\r\n").partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise OSError(f"{path}: {head[:40]!r}")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if b"content-length" in fields:
            return self._exactly(int(fields[b"content-length"]), body)
        return self._chunked(body)

    def _until(self, mark: bytes) -> bytes:
        data = b""
        while mark not in data:
            data += self._more()
        return data

    def _exactly(self, size: int, data: bytes) -> bytes:
        parts, have = [data], len(data)
        while have < size:
            parts.append(self._more())
            have += len(parts[-1])
        return b"".join(parts)

    def _chunked(self, data: bytes) -> bytes:
        body = b""
        while True:
            while b"\r\n" not in data:
                data += self._more()
            size, _, data = data.partition(b"\r\n")
            data = self._exactly(int(size, 16) + 2, data)
            if not int(size, 16):
                return body
            body, data = body + data[: int(size, 16)], data[int(size, 16) + 2 :]

    def _more(self) -> bytes:
        data = self._sock.recv(1 << 18)
        if not data:
            raise ConnectionError("closed")
        return data


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
