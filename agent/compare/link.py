"""Links between processes: TCP proxies that count what they carry and can be cut.

Cut, a link ends its connections and accepts none; mended, it does again. What is counted is TCP's payload, so with the
framing of HTTP and without the headers of TCP and IP.
Threads: the connections are carried in one of their own; methods are called by another.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Final, NamedTuple

from agent.errors import AgentError

LOOPBACK: Final = "127.0.0.1"
PIECE_BYTES: Final = 65536


class Carried(NamedTuple):
    """Bytes, by who sent them: the end that connected, or the one that was connected to."""

    by_client: int = 0
    by_server: int = 0

    @property
    def total(self) -> int:
        return self.by_client + self.by_server


class Link:
    """Listens on a port of its own from the start. Without a ``target`` it is as good as cut."""

    def __init__(self) -> None:
        try:
            self.listener = socket.create_server((LOOPBACK, 0), backlog=128)
        except OSError as error:
            raise AgentError(f"no port can be had on {LOOPBACK}: {error.strerror or error}") from None
        self.address = f"{LOOPBACK}:{self.listener.getsockname()[1]}"
        self.target: tuple[str, int] | None = None
        self.carried = Carried()
        self.whole = True
        self._ends: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        if not (self.whole and self.target):
            writer.transport.abort()
            return
        self._ends.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.target)
        except OSError:
            self._end(writer)
            return
        self._ends.add(far_writer)
        if not self.whole:  # since it was accepted
            self.end_connections()
            return
        there = asyncio.create_task(self._carry(reader, far_writer, True))
        back = asyncio.create_task(self._carry(far_reader, writer, False))
        await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
        self._end(writer, far_writer)
        await asyncio.wait((there, back))

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, by_client: bool) -> None:
        try:
            while data := await source.read(PIECE_BYTES):
                self._count(len(data), by_client)
                sink.write(data)
                await sink.drain()
        except OSError:
            pass  # whichever end it was, the connection is over

    def _count(self, size: int, by_client: bool) -> None:
        client, server = self.carried
        self.carried = Carried(client + size, server) if by_client else Carried(client, server + size)

    def _end(self, *ends: asyncio.StreamWriter) -> None:
        for end in ends:
            end.close()
            self._ends.discard(end)

    def end_connections(self) -> None:
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()


class Links:
    """All links, and the thread that carries, from ``start`` to ``close``."""

    def __init__(self) -> None:
        self._links: list[Link] = []
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> Link:
        """Before ``start``. Raises AgentError."""
        link = Link()
        self._links.append(link)
        return link

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="links", daemon=True)
        self._thread.start()

    def cut(self, *links: Link) -> None:
        """Done when this returns."""
        self._call(links, whole=False)

    def mend(self, *links: Link) -> None:
        self._call(links, whole=True)

    def _call(self, links: tuple[Link, ...], whole: bool) -> None:
        asyncio.run_coroutine_threadsafe(_set(links, whole), self._loop).result(10)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        servers = [await asyncio.start_server(link.serve, sock=link.listener) for link in self._links]
        await self._over.wait()
        for server in servers:
            server.close()
        for link in self._links:
            link.whole = False
            link.end_connections()
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        if serving:
            await asyncio.wait(serving, timeout=1.0)

    def close(self) -> None:
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join(5.0)
        for link in self._links:
            link.listener.close()
        self._loop.close()


async def _set(links: tuple[Link, ...], whole: bool) -> None:
    for link in links:
        link.whole = whole
        if not whole:
            link.end_connections()
