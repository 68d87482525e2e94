"""The reviewer in its loop, with a real API server on TLS: how many are asked at once, and what a crowd costs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from agent.aggregator import reviewer as module
from agent.aggregator.admission import LEAST_S, Admission
from agent.aggregator.identity import Denied, Identity, Unreviewed
from agent.aggregator.listening import Files
from agent.aggregator.reviewer import AT_ONCE, WAITING_MAX, Asking, Reviewer
from agent.aggregator.telemetry import ReviewTelemetry
from agent.aggregator.token_review import Expected
from agent.errors import ConfigError
from tests.aggregator import certificates
from tests.aggregator.api_server import ApiServer, Asked, token

pytestmark = pytest.mark.needs("openssl")
EXPECTED = Expected("headroom-aggregator", "system:serviceaccount:headroom:headroom-agent")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificates.make(tmp_path_factory.mktemp("tls"), "server")


@pytest.fixture
def api(place: Path) -> Iterator[ApiServer]:
    with ApiServer(place) as one:
        yield one


def run(api: ApiServer, what: Callable[[Reviewer], Awaitable[object]]) -> CollectorRegistry:
    """In a loop of its own; gives what was counted."""
    registry = CollectorRegistry()

    async def main() -> None:
        asking = Asking(api.url, Files(f"{api.place}/ca.pem"), Files(str(api.own_file)), EXPECTED)
        reviewer = Reviewer(asking, ReviewTelemetry(registry))
        try:
            await what(reviewer)
        finally:
            await reviewer.stop()

    asyncio.run(main())
    return registry


def counted(registry: CollectorRegistry, result: str) -> float:
    return registry.get_sample_value("headroom_aggregator_token_reviews_total", {"result": result}) or 0.0


def test_a_storm_of_agents(api: ApiServer) -> None:
    """A thousand nodes at once, and all of them again: one question for each, few at the same time."""
    tokens = [token(f"n{number}") for number in range(1000)]

    async def storm(reviewer: Reviewer) -> None:
        for _ in range(2):
            nodes = await asyncio.gather(*map(reviewer.node_of, tokens))
            assert nodes == [f"n{number}" for number in range(1000)]

    def takes_a_while(asked: Asked) -> None:
        api.released.wait(0.02)
        asked.reviews()

    api.behaviour = takes_a_while
    registry = run(api, storm)
    assert (len(api.asked), counted(registry, "accepted")) == (1000, 1000)
    assert 1 < api.most_at_once <= AT_ONCE


def test_streams_of_one_token_share_its_review(api: ApiServer) -> None:
    """Also while the answer is not there yet; one that gives up takes nothing from the others."""

    def holds(asked: Asked) -> None:
        api.released.wait(20)
        asked.reviews()

    async def together(reviewer: Reviewer) -> None:
        tasks = [asyncio.create_task(reviewer.node_of(token("n1"))) for _ in range(50)]
        while not api.asked:
            await asyncio.sleep(0.01)
        tasks[0].cancel()
        api.released.set()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(done[0], asyncio.CancelledError)
        assert set(done[1:]) == {"n1"}

    api.behaviour = holds
    run(api, together)
    assert len(api.asked) == 1


def test_a_crowd_that_waits_is_bounded(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the API server hangs only so many tokens wait, all of them for so long: the rest come again at once."""
    monkeypatch.setattr(module, "REVIEW_S", 1.0)
    api.behaviour = lambda _: api.released.wait(20) and None
    more = 200

    async def crowd(reviewer: Reviewer) -> None:
        began_s = time.monotonic()
        tasks = [asyncio.create_task(reviewer.node_of(token(f"n{n}"))) for n in range(WAITING_MAX + more)]
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert time.monotonic() - began_s < 5.0
        assert all(isinstance(one, Unreviewed) for one in done)
        assert sum("too many" in str(one) for one in done) == more
        api.released.set()
        api.behaviour = None
        assert await reviewer.node_of(token("n1")) == "n1"

    registry = run(api, crowd)
    assert (counted(registry, "failed"), counted(registry, "accepted")) == (WAITING_MAX, 1)
    assert registry.get_sample_value("headroom_aggregator_token_review_seconds_count") == WAITING_MAX + 1


def test_a_new_ca_that_is_none_changes_nothing(api: ApiServer, tmp_path: Path) -> None:
    """Half a file, while it is replaced: the former is trusted on. At the start it is an error."""
    ca = tmp_path / "ca.crt"
    ca.write_bytes((api.place / "ca.pem").read_bytes())
    telemetry = ReviewTelemetry(CollectorRegistry())

    async def main() -> None:
        asking = Asking(api.url, Files(str(ca)), Files(str(api.own_file)), EXPECTED)
        reviewer = Reviewer(asking, telemetry)
        ca.write_text("half")
        assert await reviewer.node_of(token("n1")) == "n1"
        await reviewer.stop()
        with pytest.raises(ConfigError, match="token-review-ca-file"):
            Reviewer(Asking(api.url, Files(str(ca)), Files(str(api.own_file)), EXPECTED), telemetry)

    asyncio.run(main())


@pytest.mark.parametrize("own", ["", "two words", "a\nb", "\x00", "é"])
def test_an_own_token_that_is_none(api: ApiServer, own: str) -> None:
    """It is not sent, and the agents are told what is wrong."""
    api.own_file.write_text(own)

    async def ask(reviewer: Reviewer) -> None:
        with pytest.raises(Unreviewed, match="token-review-token-file"):
            await reviewer.node_of(token("n1"))

    run(api, ask)
    assert api.asked == []


@pytest.mark.parametrize(("life_s", "expected_s"), [(3600, 3600.0), (90, 90.0), (10, LEAST_S)])
def test_who_is_let_in_is_so_until_the_token_is_over(api: ApiServer, life_s: int, expected_s: float) -> None:
    """And a minute at least, in case that our clock is ahead of the API server's."""

    async def admit(reviewer: Reviewer) -> None:
        admission = Admission("prod", False, reviewer)
        metadata = [("user-agent", "x"), ("authorization", f"Bearer {token('n1', life_s=life_s)}")]
        admitted = await admission.admit({"x509_common_name": [b"worker-9"]}, metadata)
        assert admitted.identity == Identity("prod", ("n1",))
        assert admitted.until_s - time.monotonic() == pytest.approx(expected_s, abs=2.0)

    run(api, admit)


def test_a_refusal_says_who_it_is(api: ApiServer) -> None:
    """Two kinds: nobody knows who it is, or it is known and may not."""

    async def ask(reviewer: Reviewer) -> None:
        with pytest.raises(Denied) as known:
            await reviewer.node_of(token(account="a:b"))
        with pytest.raises(Denied) as unknown:
            await reviewer.node_of(token(key=b"x"))
        assert (known.value.code, unknown.value.code) == ("PERMISSION_DENIED", "UNAUTHENTICATED")

    assert counted(run(api, ask), "refused") == 2
