"""What answers about tokens mean, and how long they hold: without any clock or socket."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.aggregator.identity import Unauthenticated
from agent.aggregator.token_review import NODE_NAME, Expected, Verdict, bearer, expiry_unix_s, verdict
from agent.aggregator.verdicts import ACCEPTED_S, REFUSED_S, Verdicts
from tests.aggregator.api_server import review, sign, token

EXPECTED = Expected("headroom-aggregator", "system:serviceaccount:headroom:headroom-agent")
TOKEN = token()
YES, NO, FAILED = Verdict("accepted", "worker-1"), Verdict("refused"), Verdict("failed")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def answer(status: Any) -> bytes:
    return json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}).encode()


def judged(status: Any) -> Verdict:
    return verdict(201, answer(status), EXPECTED, TOKEN)


def test_a_whole_answer_names_the_node() -> None:
    """What a real API server says of a pod's token."""
    assert judged(review(TOKEN, ["headroom-aggregator"])) == YES


@given(st.sampled_from(["authenticated", "user", "audiences", "error"]), JSON)
def test_nothing_else_is_a_yes(name: str, value: Any) -> None:
    """Whatever stands in place of a part of the answer, it is a no; a remark beside a yes changes nothing."""
    status = review(TOKEN, ["headroom-aggregator"])
    same = name == "error" or (name == "authenticated" and value is True)
    assert judged(status | {name: value}).result == ("accepted" if same else "refused")


@given(st.sampled_from(["username", "extra"]), JSON)
def test_no_other_user_is_a_yes(name: str, value: Any) -> None:
    """An account of another name, or a node that is none, is refused."""
    status = review(TOKEN, ["headroom-aggregator"])
    status["user"][name] = value
    found = judged(status)
    assert (found.result, found.code) == ("refused", "PERMISSION_DENIED")


@given(st.integers(0, 999), st.binary(max_size=100))
def test_any_answer_is_a_verdict(status: int, body: bytes) -> None:
    """Bytes that are no TokenReview are neither yes nor no: nobody knows."""
    assert verdict(status, body, EXPECTED, TOKEN).result == "failed"


@pytest.mark.parametrize("status", [202, 204, 301, 400, 401, 403, 404, 409, 429, 500, 503])
def test_a_yes_with_another_status_is_none(status: int) -> None:
    """Only a review that was created, or is there, counts."""
    assert verdict(status, answer(review(TOKEN, ["headroom-aggregator"])), EXPECTED, TOKEN).result == "failed"


@given(JSON)
def test_any_claims_are_read_or_refused(claims: Any) -> None:
    """Tokens are written by whoever connects: a number of seconds, or Unauthenticated."""
    try:
        assert math.isfinite(expiry_unix_s(sign(claims)))
    except Unauthenticated:
        pass


@pytest.mark.parametrize("exp", ["1e999", "NaN", "1" * 400, "true", '"1"', "null", "[" * 3000])
def test_an_expiry_that_is_no_time(exp: str) -> None:
    """Neither infinite nor absurd: it would be a stream without an end, or a defect."""
    from base64 import urlsafe_b64encode

    payload = urlsafe_b64encode(f'{{"exp": {exp}}}'.encode()).decode().rstrip("=")
    with pytest.raises(Unauthenticated):
        expiry_unix_s(f"eyJh.{payload}.c2ln")


@given(st.lists(st.tuples(st.sampled_from(["authorization", "user-agent"]), st.text() | st.binary()), max_size=3))
def test_any_metadata_has_one_token_or_none(metadata: list[tuple[str, str | bytes]]) -> None:
    """Whatever is sent along with a stream."""
    with pytest.raises(Unauthenticated):
        bearer(metadata)
    assert bearer([*((name, value) for name, value in metadata if name != "authorization"), *AUTHORIZED]) == TOKEN


AUTHORIZED = [("authorization", f"bearer {TOKEN}")]


def test_a_verdict_holds_for_its_time() -> None:
    """A yes for a minute, and never longer than its token; a no for seconds; what failed is asked again at once."""
    known = Verdicts()
    for key, one, left_s in ((b"yes", YES, 3600.0), (b"short", YES, 10.0), (b"over", YES, -5.0), (b"no", NO, 3600.0)):
        known.keep(key, one, 100.0, left_s)
    known.keep(b"failed", FAILED, 100.0, 3600.0)
    assert known.find(b"yes", 100.0 + ACCEPTED_S - 0.1) == YES
    assert known.find(b"yes", 100.0 + ACCEPTED_S) is None
    assert (known.find(b"short", 109.9), known.find(b"short", 110.0)) == (YES, None)
    assert known.find(b"over", 100.0) is None
    assert (known.find(b"no", 100.0 + REFUSED_S - 0.1), known.find(b"no", 100.0 + REFUSED_S)) == (NO, None)
    assert known.find(b"failed", 100.0) is None


def test_the_last_verdict_counts() -> None:
    """A token that was refused and is accepted now, and the other way round."""
    known = Verdicts()
    for one in (NO, YES, NO):
        known.keep(b"k", one, 100.0, 3600.0)
        assert known.find(b"k", 101.0) == one
    known.keep(b"k", FAILED, 102.0, 3600.0)
    assert (known.find(b"k", 102.0), len(known)) == (None, 0)


def test_what_is_kept_is_bounded() -> None:
    """The oldest go first, and refused ones displace no accepted one."""
    known = Verdicts(accepted_max=3, refused_max=2)
    for number in range(5):
        known.keep(b"yes%d" % number, YES, 100.0, 3600.0)
    for number in range(100):
        known.keep(b"no%d" % number, NO, 100.0, 3600.0)
    assert len(known) == 5
    assert [number for number in range(5) if known.find(b"yes%d" % number, 100.0)] == [2, 3, 4]


def test_the_name_of_the_claim() -> None:
    """As Kubernetes spells it: with another one no agent would ever be let in."""
    assert NODE_NAME == "authentication.kubernetes.io/node-name"
