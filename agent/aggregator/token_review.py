"""What Kubernetes' TokenReview is asked, and what its answers mean. Pure.

The API server says of a token which pod it was issued for and, since Kubernetes 1.30, on which node that pod is. A
kubelet is given tokens only for pods of its own node, so a node that fell into wrong hands speaks for itself alone.
Source: authentication.k8s.io/v1 TokenReview; KEP-4193.
"""

from __future__ import annotations

import json
import math
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple

from agent.aggregator.identity import Unauthenticated
from agent.aggregator.known import NAME

PATH: Final = "/apis/authentication.k8s.io/v1/tokenreviews"
NODE_NAME: Final = "authentication.kubernetes.io/node-name"
TOKEN_BYTES_MAX: Final = 8192
REASON_MAX: Final = 120
PART_LEAST: Final = 16  # of a token, in bytes: less than that gives nothing away
_JWT: Final = re.compile(r"[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+")
_LIKE_A_TOKEN: Final = re.compile(r"eyJ[\w.-]*", re.ASCII)  # how the text of every JWT begins

Result = Literal["accepted", "refused", "failed"]
Code = Literal["UNAUTHENTICATED", "PERMISSION_DENIED"]


class Expected(NamedTuple):
    """What a token must say. ``username`` is ``system:serviceaccount:NAMESPACE:NAME``."""

    audience: str
    username: str


class Verdict(NamedTuple):
    """``accepted``: the token is of a pod on ``node``. ``refused``: asking again changes nothing. ``failed``: nobody
    knows. ``text`` says why, to the agent too."""

    result: Result
    node: str = ""
    text: str = ""
    code: Code = "UNAUTHENTICATED"


def bearer(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """The token of a stream. Raises Unauthenticated."""
    given = [value for name, value in metadata if name == "authorization"]
    if not given:
        raise Unauthenticated("no token: the agent needs --push.token-file")
    scheme, _, token = given[0].partition(" ") if isinstance(given[0], str) else ("", "", "")
    if len(given) > 1 or scheme.lower() != "bearer" or len(token) > TOKEN_BYTES_MAX or not _JWT.fullmatch(token):
        raise Unauthenticated("what is sent as a token is not the token of a ServiceAccount")
    return token


def expiry_unix_s(token: str) -> float:
    """What the token says of itself: nothing is proved by it before the API server accepts the token. Raises
    Unauthenticated."""
    match = _JWT.fullmatch(token)
    try:
        payload = match[1] if match else ""
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        expiry = claims["exp"]
        known = isinstance(expiry, (int, float)) and not isinstance(expiry, bool) and math.isfinite(expiry)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        known = False
    if not known:
        raise Unauthenticated("the token does not say when it expires: it is not a projected one")
    return float(expiry)


def question(token: str, audience: str) -> dict[str, Any]:
    """The body of the POST."""
    spec = {"token": token, "audiences": [audience]}
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}


def verdict(status: int, body: bytes, expected: Expected, token: str) -> Verdict:
    """From the answer, whatever it is."""
    if status not in (200, 201):
        return Verdict("failed", text=_refusal(status))
    try:
        answer = _object(json.loads(body))
    except (ValueError, RecursionError):
        answer = {}
    if answer.get("kind") != "TokenReview" or not isinstance(answer.get("status"), dict):
        return Verdict("failed", text="its answer is no TokenReview")
    return _judged(answer["status"], expected, token)


def _object(document: object) -> dict[str, Any]:
    return document if isinstance(document, dict) else {}


def _judged(status: dict[str, Any], expected: Expected, token: str) -> Verdict:
    if status.get("authenticated") is not True:
        why = _printable(status.get("error"), token) or "no reason given"
        return Verdict("refused", text=f"the API server refuses the token: {why}")
    audiences, user = status.get("audiences"), _object(status.get("user"))
    if not isinstance(audiences, list) or expected.audience not in audiences:
        return Verdict("refused", text=f"the API server does not say that the token is for {expected.audience}")
    if user.get("username") != expected.username:
        who = _printable(user.get("username"), token) or "nobody"
        return Verdict("refused", text=f"the token is that of {who}, not {expected.username}", code="PERMISSION_DENIED")
    nodes = _object(user.get("extra")).get(NODE_NAME)
    if not (isinstance(nodes, list) and len(nodes) == 1 and isinstance(nodes[0], str) and NAME.fullmatch(nodes[0])):
        return Verdict("refused", text=_NO_NODE, code="PERMISSION_DENIED")
    return Verdict("accepted", nodes[0])


_NO_NODE: Final = (
    "the API server does not name the node of the token's pod: that takes Kubernetes 1.30 and a token projected into "
    "the pod; older clusters need certificates (--grpc.tls-client-ca)"
)


def _refusal(status: int) -> str:
    if status == 401:
        return "it does not know the aggregator's own token (401)"
    if status == 403:
        return "its RBAC forbids the aggregator to create tokenreviews.authentication.k8s.io (403)"
    return f"it answered {status}"


def _printable(text: object, token: str) -> str:
    """For logs: whatever the other end says, no part of a token gets there."""
    shown = text[:1000] if isinstance(text, str) else ""
    for part in token.split("."):
        if len(part) >= PART_LEAST:
            shown = shown.replace(part, "[token]")
    return _LIKE_A_TOKEN.sub("[token]", shown)[:REASON_MAX]
