"""A TCP proxy that can be cut: its connections end at once, and none is made until it is mended. And it can be slow."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable


class Proxy:
    """Listens on a port of its own, which stays while the target comes, goes and changes its; None is nobody there.

    ``carried`` counts bytes; ``bytes_per_s`` bounds each direction, if it is set.
    """

    def __init__(self, target: tuple[str, int] | None = None) -> None:
        self.target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self.whole = True
        self.carried = 0
        self.bytes_per_s: float | None = None
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def cut(self) -> None:
        with self._lock:
            self.whole = False
            for one in self._open:
                _end(one)

    def mend(self) -> None:
        self.whole = True

    def close(self) -> None:
        self.cut()
        _end(self._listener)
        for thread in self._threads:
            thread.join(10)
        for one in (self._listener, *self._open):
            one.close()

    def _start(self, run: Callable[..., None], *arguments: socket.socket) -> None:
        self._threads.append(threading.Thread(target=run, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = self._reach()
            if far is None:
                near.close()
                continue
            with self._lock:
                if self.whole:
                    self._open += [near, far]
            if not self.whole:
                near.close()
                far.close()
                continue
            for pair in ((near, far), (far, near)):
                self._start(self._carry, *pair)

    def _reach(self) -> socket.socket | None:
        try:
            return socket.create_connection(self.target) if self.target else None
        except OSError:
            return None

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(4096 if self.bytes_per_s else 65536):
                sink.sendall(data)
                self.carried += len(data)
                if self.bytes_per_s:
                    time.sleep(len(data) / self.bytes_per_s)  # a slow link is what this is
        except OSError:
            pass
        _end(source)
        _end(sink)


def _end(one: socket.socket) -> None:
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
