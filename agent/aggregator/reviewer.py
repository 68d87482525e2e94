"""Asks the API server about tokens: bounded in time, in size and in how many are asked at once; never by a proxy.

In the loop of the streams. A token is sent nowhere else, and stays only as long as its review: what is remembered of
it is a hash.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from hashlib import sha256
from typing import Final, NamedTuple

import aiohttp

from agent import log
from agent.aggregator.identity import Denied, Unauthenticated, Unreviewed
from agent.aggregator.listening import Files
from agent.aggregator.telemetry import ReviewTelemetry
from agent.aggregator.token_review import PATH, Expected, Verdict, expiry_unix_s, question, verdict
from agent.aggregator.verdicts import Verdicts
from agent.errors import ConfigError

REVIEW_S: Final = 5.0  # with its turn: a Hello is due in twice that
AT_ONCE: Final = 16
WAITING_MAX: Final = 1024
SAID_S: Final = 10.0
BODY_BYTES_MAX: Final = 256 << 10
_SECRET: Final = re.compile(rb"[\x21-\x7e]+")


class Asking(NamedTuple):
    """Whom to ask, and what about. ``ca`` and ``token`` are one file each; the token is our own."""

    url: str
    ca: Files
    token: Files
    expected: Expected


class Reviewer:
    """In one loop; ``stop`` at the end. Raises ConfigError for a CA that is none."""

    def __init__(self, asking: Asking, told: ReviewTelemetry) -> None:
        self._asking = asking
        self._told = told
        self._tls = _trusting(asking.ca)
        self._known = Verdicts()
        self._running: dict[bytes, asyncio.Task[Verdict]] = {}
        self._failing = False
        self._said_s = -SAID_S
        self._session: aiohttp.ClientSession | None = None

    async def stop(self) -> None:
        for task in list(self._running.values()):
            task.cancel()
        if self._session:
            await self._session.close()

    async def node_of(self, token: str) -> str:
        """The node of the pod that the token is of. Raises Denied, Unauthenticated, Unreviewed."""
        left_s = expiry_unix_s(token) - time.time()
        key = sha256(token.encode()).digest()
        found = self._known.find(key, time.monotonic()) or await self._once(key, token, left_s)
        if found.result == "failed":
            raise Unreviewed(f"the API server could not be asked about the token: {found.text}")
        if found.result == "refused":
            raise (Unauthenticated if found.code == "UNAUTHENTICATED" else Denied)(found.text)
        return found.node

    async def _once(self, key: bytes, token: str, left_s: float) -> Verdict:
        """However many streams come with one token, it is asked about once."""
        task = self._running.get(key)
        if task is None:
            if len(self._running) >= WAITING_MAX:
                return Verdict("failed", text="too many tokens wait for it")
            task = self._running[key] = asyncio.create_task(self._ask(key, token, left_s))
            task.add_done_callback(lambda _: self._running.pop(key, None))
        return await asyncio.shield(task)

    async def _ask(self, key: bytes, token: str, left_s: float) -> Verdict:
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(REVIEW_S):
                found = await self._post(token)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            found = Verdict("failed", text=_why(error))
        now_s = time.monotonic()
        self._told.reviews.labels(found.result).inc()
        self._told.seconds.observe(now_s - began_s)
        self._known.keep(key, found, now_s, left_s)
        self._say(found, now_s)
        return found

    async def _post(self, token: str) -> Verdict:
        own = self._own_token()
        if not _SECRET.fullmatch(own):
            return Verdict("failed", text="--grpc.token-review-token-file does not hold one token")
        asking = self._asking
        self._session = self._session or _session()
        async with self._session.post(
            asking.url + PATH,
            json=question(token, asking.expected.audience),
            headers={"Authorization": f"Bearer {own.decode('ascii')}"},
            ssl=self._trusted(),
            allow_redirects=False,
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_chunked(64 << 10):
                body += chunk
                if len(body) > BODY_BYTES_MAX:
                    response.close()
                    return Verdict("failed", text="its answer is too long")
            return verdict(response.status, bytes(body), asking.expected, token)

    def _own_token(self) -> bytes:
        self._asking.token.changed()
        return self._asking.token.content()[0].strip()

    def _trusted(self) -> ssl.SSLContext:
        if self._asking.ca.changed():
            try:
                self._tls = _trusting(self._asking.ca)
            except ConfigError as error:
                log.warn("the new CA cannot be used; the former stays", error=error)
        return self._tls

    def _say(self, found: Verdict, now_s: float) -> None:
        """When it begins to fail, though not again and again, and when it works again; what fails is counted always."""
        if found.result != "failed":
            if self._failing:
                log.info("the API server reviews tokens again")
            self._failing = False
        elif not self._failing and now_s - self._said_s >= SAID_S:
            self._failing, self._said_s = True, now_s
            log.warn(
                "tokens cannot be reviewed, so agents are told to come again; said once, counted always",
                url=self._asking.url,
                error=found.text,
            )


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=AT_ONCE),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "headroom-aggregator"},
        trust_env=False,
        auto_decompress=False,
    )


def _trusting(ca: Files) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cadata=ca.content()[0].decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"--grpc.token-review-ca-file is no PEM: {error}") from None
    return context


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {REVIEW_S:g} s"
    reason = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    return str(reason)[:120] or type(error).__name__
