"""One stream to an aggregator over gRPC: the only place of the agent that imports it, and its event loop's thread.

A link is one try: a channel of its own, so that files which changed are read anew and gRPC's own pauses between tries
do not add to ours. It is connected when the channel is, before anything is sent. What waits to be sent is bounded: the
sink asks ``writable``. What was heard and not taken is bounded too: then nothing more is read, and HTTP/2 holds the
other end back. Of gRPC's two interfaces the asynchronous one: the other wakes up ten times a second for nothing.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"  # read at import; its handlers cost every fork, and we only exec

import grpc
from grpc import aio

METHOD: Final = "/headroom.ingest.v1.Ingest/Stream"
QUEUE_BYTES: Final = 64 << 10
MESSAGE_BYTES_MAX: Final = 16 << 10  # of the aggregator's; a Welcome for 64 sessions has 3 KiB
HEARD_MAX: Final = 16
FAREWELL_S: Final = 0.3  # for what is still queued, and for the other end to close
FILE_BYTES_MAX: Final = 1 << 20
OPTIONS: Final = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.compression_enabled_algorithms_bitset", 1),  # records are compressed already
    ("grpc.http2.bdp_probe", 0),  # a ping with each message, to find a window for more than we send
    ("grpc.enable_retries", 0),
    ("grpc.service_config_disable_resolution", 1),
)
_TOKEN: Final = re.compile(rb"[\x21-\x7e]+")
_REFUSED: Final = (
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNIMPLEMENTED,
)


class Security(NamedTuple):
    """Files are PEM; an empty name is none. ``insecure`` is plaintext, and then there is nothing else."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    token_file: str = ""
    insecure: bool = False
    proxy: str = ""

    def seen(self) -> tuple[object, ...]:
        """Changes when certificates or the token do: a stream that was made with the old ones is to be made anew."""
        return tuple(map(_look, (self.ca_file, self.cert_file, self.key_file, self.token_file)))

    def channel(self, target: str) -> aio.Channel:
        """Raises OSError."""
        proxy = [("grpc.enable_http_proxy", 1), ("grpc.http_proxy", self.proxy)]
        options = [*OPTIONS, *(proxy if self.proxy else [("grpc.enable_http_proxy", 0)])]
        if self.insecure:
            return aio.insecure_channel(f"dns:///{target}", options)
        files = (_read(name) if name else None for name in (self.ca_file, self.key_file, self.cert_file))
        return aio.secure_channel(f"dns:///{target}", grpc.ssl_channel_credentials(*files), options)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Raises OSError, ValueError."""
        if not self.token_file or self.insecure:
            return ()
        token = _read(self.token_file).strip()
        if not _TOKEN.fullmatch(token):
            raise ValueError(f"{self.token_file} does not hold one token")
        return (("authorization", f"Bearer {token.decode('ascii')}"),)


class Connected(NamedTuple):
    target: str


class Received(NamedTuple):
    data: bytes


class Ended(NamedTuple):
    """``reason`` is a label; ``detail`` for people."""

    reason: str
    detail: str


Happening = Connected | Received | Ended


class Link:
    """Made by ``Transport.connect``. Threads: the sink's, except for methods that say otherwise."""

    def __init__(self, loop: asyncio.AbstractEventLoop, bell: Callable[[], object], target: str) -> None:
        self.target = target
        self._loop = loop
        self._bell = bell
        self._lock = threading.Lock()
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._heard: deque[Happening] = deque()
        self._closing = False  # when the queue is empty
        self._more = asyncio.Event()
        self._room = asyncio.Event()
        self._call: Any = None

    @property
    def writable(self) -> bool:
        return self._queued_bytes < QUEUE_BYTES

    def send(self, data: bytes) -> None:
        with self._lock:
            self._queue.append(data)
            self._queued_bytes += len(data)
        self._loop.call_soon_threadsafe(self._more.set)

    def take(self) -> list[Happening]:
        """What happened since the last time; after Ended nothing more does."""
        with self._lock:
            taken = list(self._heard)
            self._heard.clear()
        if taken:
            self._loop.call_soon_threadsafe(self._room.set)
        return taken

    def close(self, flush: bool) -> None:
        """``flush``: what is queued still goes, if it goes at once."""
        if not flush:
            with self._lock:
                self._queue.clear()
        self._closing = True
        self._loop.call_soon_threadsafe(self._more.set)
        self._loop.call_soon_threadsafe(self._end_by, FAREWELL_S if flush else 0.0)

    # In the event loop.

    def _end_by(self, seconds: float) -> None:
        if self._call is not None:
            self._loop.call_later(seconds, self._call.cancel)
        self._room.set()

    def _tell(self, what: Happening) -> None:
        with self._lock:
            self._heard.append(what)
        self._bell()

    async def run(self, security: Security) -> None:
        """From the first try to the end, whatever it is."""
        channel = writer = None
        try:
            metadata = security.metadata()
            channel = security.channel(self.target)
            failed = await _connect(channel)
            if self._closing:
                return
            self._call = channel.stream_stream(METHOD)(metadata=metadata)
            if not failed:
                self._tell(Connected(self.target))
                writer = self._loop.create_task(self._write())
                await self._read()
            self._tell(_ended(await self._call.code(), await self._call.details()))
        except (OSError, ValueError) as error:
            self._tell(Ended("credentials", str(error)))
        except asyncio.CancelledError:
            self._tell(Ended("ended", "closed here"))
        except Exception as error:  # it costs this stream, and is counted
            self._tell(Ended("defect", f"{type(error).__name__}: {error}"))
        finally:
            if writer is not None:
                writer.cancel()
            if channel is not None:
                await channel.close()

    async def _read(self) -> None:
        try:
            while (data := await self._call.read()) is not aio.EOF:
                self._tell(Received(data))
                while len(self._heard) >= HEARD_MAX and not self._closing:
                    self._room.clear()
                    await self._room.wait()
        except aio.AioRpcError:
            pass  # the call knows its status

    async def _write(self) -> None:
        try:
            while True:
                await self._more.wait()
                self._more.clear()
                while self._queue:
                    await self._call.write(self._next())
                if self._closing:
                    await self._call.done_writing()
                    return
        except (aio.AioRpcError, asyncio.InvalidStateError, IndexError):
            pass  # the reader learns why the stream is over; an empty queue is one that was closed

    def _next(self) -> bytes:
        with self._lock:
            data = self._queue.popleft()
            before = self._queued_bytes
            self._queued_bytes -= len(data)
        if before >= QUEUE_BYTES > self._queued_bytes:
            self._bell()
        return data


class Transport:
    """The thread. ``targets`` are tried in turn, and one that took the stream is the next to be tried."""

    def __init__(self, targets: Sequence[str], security: Security) -> None:
        self.security = security
        self._targets = deque(targets)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: set[asyncio.Future[None]] = set()
        self._thread = threading.Thread(target=self._serve, name="grpc", daemon=True)

    def connect(self, bell: Callable[[], object]) -> Link:
        """``bell`` is rung, in another thread, when there is something to take or the link is writable again."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread.start()
        link = Link(self._loop, bell, self._targets[0])
        self._loop.call_soon_threadsafe(self._begin, link)
        return link

    def failed(self) -> None:
        """The next try is of the next target."""
        self._targets.rotate(-1)

    def stop(self, seconds: float = FAREWELL_S) -> None:
        """Waits for the links to end, after each was closed."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(lambda: self._loop and self._loop.create_task(self._finish(seconds)))
            self._thread.join(2 * seconds)

    def _serve(self) -> None:
        assert self._loop is not None
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def _begin(self, link: Link) -> None:
        assert self._loop is not None
        task = self._loop.create_task(link.run(self.security))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _finish(self, seconds: float) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        for task in self._running:
            task.cancel()
        asyncio.get_running_loop().call_soon(asyncio.get_running_loop().stop)


async def _connect(channel: aio.Channel) -> bool:
    """Whether it failed; then a call says why."""
    state = channel.get_state(try_to_connect=True)
    while state is not grpc.ChannelConnectivity.READY:
        if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            return True
        await channel.wait_for_state_change(state)
        state = channel.get_state(try_to_connect=True)
    return False


def _ended(code: grpc.StatusCode, details: str | None) -> Ended:
    text = (details or "")[:200]
    if code is grpc.StatusCode.OK:
        return Ended("ended", "by the aggregator")
    if code is grpc.StatusCode.UNAVAILABLE:
        return Ended("unavailable", text)
    return Ended("refused" if code in _REFUSED else "stream", f"{code.name}: {text}")


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(FILE_BYTES_MAX)


def _look(path: str) -> tuple[int, int, int] | None:
    try:
        st = os.stat(path)
    except OSError:
        return None
    return st.st_ino, st.st_size, st.st_mtime_ns
