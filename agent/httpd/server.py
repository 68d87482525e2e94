"""Sockets and threads around the parser: one thread per connection, and bounds on everything a peer can do.

Invariants: at most ``connections`` connections; a request's head arrives within ``head_s`` of its first byte, an
idle connection lives ``idle_s``, an answer is taken within ``answer_s``. When all places are taken, a new connection
takes the place of the one that has waited longest without a complete request, so silent or slow clients cannot keep a
scraper out; only when every place is being answered is the newcomer told 503.

Blocking sockets and threads rather than asyncio: 4 MiB less, and a scrape is one wake-up.
"""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from agent import log
from agent.httpd.connection import Connection, Handler, Limits, Observer
from agent.httpd.message import refusal

if TYPE_CHECKING:
    from ssl import SSLContext

BROKEN: Final = frozenset((errno.EBADF, errno.EINVAL, errno.ENOTSOCK))  # all else that accept(2) says passes
AGAIN_S: Final = 0.1


class Server:
    """Serves ``handler`` on a listening socket until ``stop``. The handler runs in the connection's thread."""

    def __init__(
        self,
        listener: socket.socket,
        handler: Handler,
        observer: Observer,
        tls: Callable[[], SSLContext] | None = None,
        limits: Limits = Limits(),
    ) -> None:
        self._listener = listener
        self._handler = handler
        self._observer = observer
        self._tls = tls
        self._limits = limits
        self._changed = threading.Condition()
        self._connections: set[Connection] = set()
        self._stopping = False

    def serve(self) -> None:
        """Accepts until ``stop``. Returns then; raises OSError if the listening socket itself breaks."""
        said = False
        while not self._stopping:
            try:
                sock, _ = self._listener.accept()
            except ConnectionError:
                continue  # the peer was gone before we looked
            except OSError as error:
                if self._stopping:
                    return
                if error.errno in BROKEN:
                    raise
                self._observer.refused("resources")
                if not said:
                    log.warn("cannot accept connections; trying again, said once until one is accepted", error=error)
                said = True
                with self._changed:
                    self._changed.wait(AGAIN_S)
                continue
            said = False
            self._admit(Connection(sock, self._limits))

    def stop(self, grace_s: float = 0.5) -> None:
        """No new connections; idle ones end now, those being answered get ``grace_s``."""
        self._stopping = True
        try:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        except OSError:
            pass
        self._listener.close()
        with self._changed:
            for connection in self._connections:
                connection.end()
            self._changed.wait_for(lambda: not self._connections, grace_s)

    def _admit(self, newcomer: Connection) -> None:
        with self._changed:
            full = len(self._connections) >= self._limits.connections
            displaced = min((c for c in self._connections if full and not c.busy), key=lambda c: c.since, default=None)
            if displaced is not None:
                self._connections.discard(displaced)
            if not full or displaced is not None:
                self._connections.add(newcomer)
            self._observer.connections(len(self._connections))
        if displaced is not None:
            self._observer.refused("displaced")
            displaced.end()
        elif full:
            self._observer.refused("connections")
            newcomer.turn_away(refusal(503, "every connection is being answered; try again"))
            return
        try:
            threading.Thread(target=self._converse, args=(newcomer,), name="http", daemon=True).start()
        except RuntimeError as error:  # the node, or our cgroup, is out of PIDs: that passes, and is why we are asked
            self._leave(newcomer)
            self._observer.refused("resources")
            newcomer.turn_away(refusal(503, f"{error}; try again"))

    def _converse(self, connection: Connection) -> None:
        try:
            connection.converse(self._handler, self._observer, self._tls)
        finally:
            self._leave(connection)

    def _leave(self, connection: Connection) -> None:
        with self._changed:
            self._connections.discard(connection)
            self._observer.connections(len(self._connections))
            self._changed.notify_all()
