"""Who may speak for which node by a ServiceAccount token: a real aggregator, real TLS, a scripted API server."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.aggregator import api_server, certificates
from tests.aggregator.agent_end import AgentEnd, Told, hello
from tests.aggregator.api_server import PATH, ApiServer, Asked, sign, token
from tests.aggregator.running import Running, eventually, start_aggregator
from tests.unit.wire.batches import FAMILIES, block

pytestmark = pytest.mark.needs("openssl")
BLOCKS = (block(FAMILIES[0], {(): 0.5}),)
REVIEWS = 'headroom_aggregator_token_reviews_total{result="%s"}'


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificates.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def shared_api(place: Path) -> Iterator[ApiServer]:
    with ApiServer(place) as one:
        yield one


@pytest.fixture(scope="module")
def shared_running(tmp_path_factory: pytest.TempPathFactory, shared_api: ApiServer) -> Iterator[Running]:
    flags = ("--cluster=prod", "--log.level=debug", *shared_api.flags())
    with start_aggregator(tmp_path_factory.mktemp("data"), *flags, insecure=False) as one:
        yield one


@pytest.fixture
def api(shared_api: ApiServer) -> Iterator[ApiServer]:
    shared_api.asked.clear()
    yield shared_api
    shared_api.behaviour = None
    shared_api.with_node = True


@pytest.fixture
def running(shared_running: Running, api: ApiServer) -> Iterator[Running]:
    """One for all: nobody's defect, and no token of anybody in what it says."""
    yield shared_running
    said = shared_running.log() + shared_running.get("/metrics").decode() + shared_running.get("/api/v1/nodes").decode()
    assert "level=error" not in said
    assert tokens_in(said, api) == []


def tokens_in(said: str, api: ApiServer) -> list[str]:
    """Whatever of the tokens that were asked about, or of our own, is in it."""
    given = [document["spec"]["token"] for _, _, document in api.asked]
    parts = {part for one in [*given, api.own] for part in one.split(".")}
    return [part for part in parts if part in said] + re.findall(r"eyJ\w+", said)


def end_of(running: Running, place: Path, *tokens: str, name: str = "", scheme: str = "Bearer ") -> AgentEnd:
    metadata = [("authorization", scheme + one) for one in tokens]
    return AgentEnd(running.grpc, certificates.credentials(place, name), metadata)


def status(end: AgentEnd, **claims: str) -> tuple[grpc.StatusCode, str]:
    with end:
        return end.send(hello(**claims)).end()


def test_the_token_decides(running: Running, api: ApiServer, place: Path) -> None:
    """The node is that of the token's pod, the cluster the aggregator's; one question, with the audience in it."""
    told, mine = Told(), token("worker-1", serial=8)
    with end_of(running, place, mine) as end:
        end.send(hello(told.listed())).welcome()
        end.send(told.header(BLOCKS), told.tick(BLOCKS)).acked(told, 1)
        assert running.get("/clusters/prod/nodes/worker-1/metrics").endswith(b"node_load1 0.5\n")
    ((path, headers, document),) = api.asked
    assert (path, headers["Authorization"]) == (PATH, f"Bearer {api.own}")
    assert (document["kind"], document["spec"]) == (
        "TokenReview",
        {"token": mine, "audiences": ["headroom-aggregator"]},
    )


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({"node": "worker-2"}, "prod/worker-2"),
        ({"node": "worker-1", "cluster": "other"}, "other/worker-1"),
        ({"node": ""}, "without the name"),
        ({"node": "../worker-1"}, "without the name"),
    ],
)
def test_another_nodes_name_is_denied(running: Running, place: Path, claims: dict[str, str], says: str) -> None:
    """A pod's token is good for its own node: PERMISSION_DENIED, counted, and the other node stays unknown."""
    before = running.metric("headroom_aggregator_identity_denied_total")
    code, text = status(end_of(running, place, token("worker-1")), **claims)
    assert (code, says in text) == (grpc.StatusCode.PERMISSION_DENIED, True), text
    assert running.metric("headroom_aggregator_identity_denied_total") == before + 1
    names = {(one["cluster"], one["name"]) for one in running.json("/api/v1/nodes")["nodes"]}
    assert names <= {("prod", "worker-1")}


NOT_A_TOKEN = "what is sent as a token"


@pytest.mark.parametrize(
    ("tokens", "code", "says"),
    [
        ([], "UNAUTHENTICATED", "--push.token-file"),
        (["opaque"], "UNAUTHENTICATED", NOT_A_TOKEN),
        ([""], "UNAUTHENTICATED", NOT_A_TOKEN),
        ([token(), token("worker-2")], "UNAUTHENTICATED", NOT_A_TOKEN),
        ([token() + " x"], "UNAUTHENTICATED", NOT_A_TOKEN),
        ([sign({"sub": "system:serviceaccount:headroom:headroom-agent"})], "UNAUTHENTICATED", "when it expires"),
        ([token(key=b"an attacker's")], "UNAUTHENTICATED", "failed to verify signature"),
        ([token(life_s=-1)], "UNAUTHENTICATED", "service account token has expired"),
        ([token(audience="vault")], "UNAUTHENTICATED", "is invalid for the target audiences"),
        ([token(account="default:default")], "PERMISSION_DENIED", "system:serviceaccount:default:default"),
        ([token(account="kube-system:headroom-agent")], "PERMISSION_DENIED", "of system:serviceaccount:kube-system"),
    ],
    ids=["none", "opaque", "empty", "two", "more", "endless", "forged", "expired", "audience", "account", "namespace"],
)
def test_a_token_that_does_not_do(running: Running, place: Path, tokens: Sequence[str], code: str, says: str) -> None:
    """Refused with a reason for the agent's log; what needs no question is not asked."""
    got, text = status(end_of(running, place, *tokens))
    assert (got, says in text) == (grpc.StatusCode[code], True), text


def test_another_scheme_is_no_token(running: Running, api: ApiServer, place: Path) -> None:
    """Only a bearer token is one."""
    code, text = status(end_of(running, place, token(serial=1), scheme="Basic "))
    assert (code, NOT_A_TOKEN in text, api.asked) == (grpc.StatusCode.UNAUTHENTICATED, True, [])


def test_a_cluster_that_names_no_nodes(running: Running, api: ApiServer, place: Path) -> None:
    """Before Kubernetes 1.30 a token does not say where its pod is: refused, and told what to do."""
    api.with_node = False
    code, text = status(end_of(running, place, token(serial=2)))
    assert code == grpc.StatusCode.PERMISSION_DENIED
    assert "Kubernetes 1.30" in text
    assert "--grpc.tls-client-ca" in text


def test_without_tls_nobody_is_heard(running: Running, api: ApiServer) -> None:
    """A token in the clear reaches nobody: the port speaks TLS only."""
    with AgentEnd(running.grpc, None, [("authorization", f"Bearer {token(serial=3)}")]) as end:
        assert end.send(hello()).end()[0] == grpc.StatusCode.UNAVAILABLE
    assert api.asked == []


@pytest.mark.parametrize("size", [9_000, 100_000])
def test_huge_metadata_costs_its_own_stream(running: Running, api: ApiServer, place: Path, size: int) -> None:
    """More than a token can be is not asked about, whether gRPC lets it in or not; others are served."""
    huge = "a" * (size // 3)
    code, _ = status(end_of(running, place, f"{huge}.{huge}.{huge}"))
    assert code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert api.asked == []
    with end_of(running, place, token("worker-1", serial=4)) as end:
        assert end.send(hello()).welcome() == {}


def hangs(asked: Asked) -> None:
    asked.server.released.wait(20)


def drips(asked: Asked) -> None:
    asked.send_response(201)
    asked.end_headers()
    while not asked.server.released.wait(0.2):
        asked.wfile.write(b" ")


def closes(asked: Asked) -> None:
    asked.close_connection = True
    asked.connection.shutdown(socket.SHUT_RDWR)


ANSWERS: dict[str, tuple[Callable[[Asked], None], str]] = {
    "401": (lambda asked: asked.fails(401, "Unauthorized", "Unauthorized"), "own token (401)"),
    "403": (lambda asked: asked.fails(403, "Forbidden", "tokenreviews is forbidden"), "create tokenreviews"),
    "429": (lambda asked: asked.fails(429, "TooManyRequests", "the server has received too many requests"), "429"),
    "500": (lambda asked: asked.fails(500, "InternalError", "etcdserver: request timed out"), "answered 500"),
    "redirect": (lambda asked: asked.answers(307, b"", Location=asked.server.url + PATH), "answered 307"),
    "no json": (lambda asked: asked.answers(201, b"<html>"), "no TokenReview"),
    "deep json": (lambda asked: asked.answers(201, b"[" * 200_000), "no TokenReview"),
    "another kind": (lambda asked: asked.answers(201, b'{"kind":"Status","status":"Success"}'), "no TokenReview"),
    "40 MB": (lambda asked: asked.answers(201, bytes(40 << 20)), "too long"),
    "closes": (closes, "isconnected"),
    "hangs": (hangs, "no answer within 5 s"),
    "drips": (drips, "no answer within 5 s"),
}


@pytest.mark.parametrize("which", ANSWERS)
def test_an_api_server_that_does_not_review(running: Running, api: ApiServer, place: Path, which: str) -> None:
    """Agents are told UNAVAILABLE, which says to come again; it is counted, said once, and over when it works."""
    api.behaviour, says = ANSWERS[which]
    before = running.metric(REVIEWS % "failed"), running.metric(REVIEWS % "accepted")
    mine = token("worker-1", serial=100 + list(ANSWERS).index(which))
    code, text = status(end_of(running, place, mine))
    assert (code, says in text) == (grpc.StatusCode.UNAVAILABLE, True), text
    assert running.metric(REVIEWS % "failed") == before[0] + 1
    api.behaviour = None
    with end_of(running, place, mine) as end:
        assert end.send(hello()).welcome() == {}
    assert running.metric(REVIEWS % "accepted") == before[1] + 1
    assert 'msg="the API server reviews tokens again"' in running.log()


def test_open_streams_go_on_without_the_api_server(running: Running, api: ApiServer, place: Path) -> None:
    """Who was let in stays in while nobody reviews; newcomers wait."""
    told = Told(spool=2)
    with end_of(running, place, token("worker-1", serial=9)) as end:
        end.send(hello(told.listed())).welcome()
        api.behaviour = ANSWERS["500"][0]
        assert status(end_of(running, place, token("worker-1", serial=10)))[0] == grpc.StatusCode.UNAVAILABLE
        end.send(told.header(BLOCKS), told.tick(BLOCKS)).acked(told, 1)


def test_who_is_denied_often_is_not_said_often(running: Running, place: Path) -> None:
    """Each is counted; the log has no more than one line a second of it."""
    said, warned = (len(re.findall(f"{level}a stream was denied", running.log())) for level in ("", "level=warn .*"))
    before, began_s = running.metric("headroom_aggregator_identity_denied_total"), time.monotonic()
    for _ in range(40):
        assert status(end_of(running, place))[0] == grpc.StatusCode.UNAUTHENTICATED
    assert running.metric("headroom_aggregator_identity_denied_total") == before + 40
    assert running.log().count("a stream was denied") == said + 40
    now_warned = len(re.findall(r"level=warn .*a stream was denied", running.log()))
    assert now_warned - warned <= 1 + time.monotonic() - began_s


def test_an_outage_is_said_once(running: Running, api: ApiServer, place: Path) -> None:
    """However many reviews fail in it."""
    api.behaviour = ANSWERS["500"][0]
    before, failed = running.log().count("tokens cannot be reviewed"), running.metric(REVIEWS % "failed")
    for serial in range(20):
        assert status(end_of(running, place, token(serial=300 + serial)))[0] == grpc.StatusCode.UNAVAILABLE
    assert running.metric(REVIEWS % "failed") == failed + 20
    assert running.log().count("tokens cannot be reviewed") <= before + 1


def echoes(asked: Asked) -> None:
    given = asked.document["spec"]["token"]
    parts = given.split(".")
    asked.says({"user": {}, "error": f"bad {given} {parts[2]} {given[:30]}... {asked.headers['Authorization']}"})


def test_what_repeats_a_token_is_not_repeated(running: Running, api: ApiServer, place: Path) -> None:
    """Not even when the API server's own text has the token, a piece of it or the aggregator's in it."""
    api.behaviour = echoes
    mine = token("worker-1", serial=5)
    code, text = status(end_of(running, place, mine))
    assert (code, tokens_in(text, api)) == (grpc.StatusCode.UNAUTHENTICATED, [])


LIES: dict[str, Any] = {
    "not quite true": {"authenticated": "true"},
    "no audiences": {"audiences": None},
    "other audiences": {"audiences": ["https://kubernetes.default.svc"]},
    "audiences as text": {"audiences": "headroom-aggregator"},
    "no user": {"user": None},
    "two nodes": {"extra": ["worker-1", "worker-2"]},
    "no node": {"extra": []},
    "a node that is none": {"extra": ["../worker-1"]},
    "a number": {"extra": [7]},
    "text": {"extra": "worker-1"},
}


@pytest.mark.parametrize("which", LIES)
def test_only_a_whole_answer_is_a_yes(running: Running, api: ApiServer, place: Path, which: str) -> None:
    """Whatever is missing or of another form in an answer that is otherwise a yes makes it a no."""

    def lies(asked: Asked) -> None:
        said = api_server.review(asked.document["spec"]["token"], ["headroom-aggregator"])
        change = dict(LIES[which])
        if "extra" in change:
            said["user"]["extra"][api_server.NODE] = change.pop("extra")
        asked.says(said | change)

    api.behaviour = lies
    code, _ = status(end_of(running, place, token("worker-1", serial=200 + list(LIES).index(which))))
    assert code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


def test_one_token_is_asked_about_once(running: Running, api: ApiServer, place: Path) -> None:
    """Streams that come with it again within the minute are let in without a question; a refusal holds for seconds."""
    mine, wrong = token("worker-1", serial=6), token(audience="vault", serial=6)
    for _ in range(5):
        with end_of(running, place, mine) as end:
            end.send(hello()).welcome()
        assert status(end_of(running, place, wrong))[0] == grpc.StatusCode.UNAUTHENTICATED
    assert len(api.asked) == 2


def test_its_own_token_is_read_again(running: Running, api: ApiServer, place: Path) -> None:
    """The kubelet replaces it every hour: the next question is asked with the new one."""
    api.own = token(
        "worker-9", "https://kubernetes.default.svc.cluster.local", "headroom:headroom-aggregator", serial=1
    )
    code, text = status(end_of(running, place, token(serial=7)))
    assert (code, "own token (401)" in text) == (grpc.StatusCode.UNAVAILABLE, True), text
    api.write_own()
    with end_of(running, place, token(serial=7)) as end:
        assert end.send(hello()).welcome() == {}


@contextmanager
def started(tmp_path: Path, *flags: str) -> Iterator[Running]:
    with start_aggregator(tmp_path / "data", *flags, insecure=False) as one:
        yield one


def test_an_api_server_of_another_ca_gets_no_token(tmp_path: Path, place: Path) -> None:
    """A certificate that the cluster's CA did not sign ends the connection before any token; a new CA is taken."""
    other = tmp_path / "other"
    other.mkdir()
    certificates.make(other, "server")
    with ApiServer(other) as api:
        ca = tmp_path / "ca.crt"
        ca.write_bytes((place / "ca.pem").read_bytes())
        with started(tmp_path, *api.flags(), f"--grpc.token-review-ca-file={ca}") as running:
            code, text = status(end_of(running, other, token()))
            assert (code, "certificate verify failed" in text) == (grpc.StatusCode.UNAVAILABLE, True), text
            assert api.asked == []
            ca.write_bytes((other / "ca.pem").read_bytes())
            with end_of(running, other, token()) as end:
                assert end.send(hello()).welcome() == {}


def test_nobody_reviews(tmp_path: Path, place: Path) -> None:
    """Where no API server listens agents are told so, and the aggregator runs on; proxies are not asked either."""
    with ApiServer(place) as api, socket.create_server(("127.0.0.1", 0)) as proxy:
        flags = api.flags()
        with socket.create_server(("127.0.0.1", 0)) as free:
            nobody = f"--grpc.token-review-url=https://127.0.0.1:{free.getsockname()[1]}"
        proxy.settimeout(0.0)
        with pytest.MonkeyPatch.context() as patch:
            for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
                patch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
            with started(tmp_path, *flags, nobody) as running:
                code, text = status(end_of(running, place, token()))
                assert (code, "Connect call failed" in text) == (grpc.StatusCode.UNAVAILABLE, True), text
                assert running.metric('headroom_aggregator_streams_ended_total{reason="token_review"}') == 1
                assert running.request("/readyz").status == 200
        with pytest.raises(BlockingIOError):
            proxy.accept()


def test_with_a_client_ca_both_are_needed(tmp_path: Path, place: Path) -> None:
    """A certificate opens the connection, the token says which node: neither alone does."""
    with ApiServer(place) as api, started(tmp_path, *api.flags(), f"--grpc.tls-client-ca={place}/ca.pem") as running:
        assert status(end_of(running, place, token()))[0] == grpc.StatusCode.UNAVAILABLE
        assert api.asked == []
        code, text = status(end_of(running, place, name="worker-1"), cluster="prod")
        assert (code, "--push.token-file" in text) == (grpc.StatusCode.UNAUTHENTICATED, True)
        with end_of(running, place, token("worker-3"), name="worker-1") as end:
            assert end.send(hello(node="worker-3")).welcome() == {}
        code, _ = status(end_of(running, place, token("worker-3"), name="worker-1"), cluster="prod")
        assert code == grpc.StatusCode.PERMISSION_DENIED


def test_it_ends_while_a_review_hangs(tmp_path: Path, place: Path) -> None:
    """SIGTERM in the middle of a review: the stream is told, and the exit code is 0, at once."""
    with ApiServer(place) as api, started(tmp_path, *api.flags()) as running:
        api.behaviour = hangs
        with end_of(running, place, token()) as end:
            end.send(hello())
            assert eventually(lambda: api.asked)
            running.terminate()
            assert end.end()[0] == grpc.StatusCode.UNAVAILABLE
            assert running.ended_within(5)
        assert running.process.returncode == 0
        assert "level=error" not in running.log()
        assert json.dumps(running.log()).count("Traceback") == 0
