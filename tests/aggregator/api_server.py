"""An API server that reviews tokens as a real one does, over real TLS, or as a test wants it.

Its tokens are signed (HMAC instead of RSA: nobody but itself looks): a token that somebody else made is refused because
of its signature. Answers, error texts and status codes are those of kube-apiserver.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
AUDIENCE = "headroom-aggregator"
ACCOUNT = "headroom:headroom-agent"
NODE = "authentication.kubernetes.io/node-name"
KEY = b"the cluster's"


def token(
    node: str = "worker-1",
    audience: str = AUDIENCE,
    account: str = ACCOUNT,
    life_s: float = 3600.0,
    key: bytes = KEY,
    serial: int = 0,
) -> str:
    """As it is projected into a pod of this account that runs on this node; ``serial`` tells two apart."""
    namespace, name = account.split(":")
    now_s = int(time.time())
    claims = {
        "aud": [audience],
        "exp": now_s + int(life_s),
        "iat": now_s,
        "iss": "https://kubernetes.default.svc.cluster.local",
        "jti": f"9b1deb4d-3b7d-4bad-9bdd-2b0d7b3d{serial:04x}",
        "kubernetes.io": {
            "namespace": namespace,
            "node": {"name": node, "uid": f"node-uid-of-{node}"},
            "pod": {"name": f"headroom-agent-{node}", "uid": f"pod-uid-of-{node}"},
            "serviceaccount": {"name": name, "uid": "account-uid"},
        },
        "nbf": now_s,
        "sub": f"system:serviceaccount:{namespace}:{name}",
    }
    return sign(claims, key)


def sign(claims: Any, key: bytes = KEY) -> str:
    head = _encoded(json.dumps({"alg": "HS256", "kid": "k"}).encode()) + "." + _encoded(json.dumps(claims).encode())
    return f"{head}.{_encoded(hmac.digest(key, head.encode(), hashlib.sha256))}"


def review(given: str, audiences: Sequence[str], with_node: bool = True) -> dict[str, Any]:
    """The status of a TokenReview."""
    head, _, signature = given.rpartition(".")
    if not hmac.compare_digest(signature, _encoded(hmac.digest(KEY, head.encode(), hashlib.sha256))):
        return {"user": {}, "error": "[invalid bearer token, failed to verify signature: no keys found]"}
    payload = head.split(".")[1]
    claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    if claims["exp"] < time.time():
        return {"user": {}, "error": "[invalid bearer token, service account token has expired]"}
    shared = [one for one in claims["aud"] if one in audiences]
    if not shared:
        said = json.dumps(claims["aud"]), json.dumps(list(audiences))
        error = f"[invalid bearer token, token audiences {said[0]} is invalid for the target audiences {said[1]}]"
        return {"user": {}, "error": error}
    bound = claims["kubernetes.io"]
    extra = {
        "authentication.kubernetes.io/credential-id": [f"JTI={claims['jti']}"],
        "authentication.kubernetes.io/pod-name": [bound["pod"]["name"]],
        "authentication.kubernetes.io/pod-uid": [bound["pod"]["uid"]],
    }
    if with_node:
        extra |= {NODE: [bound["node"]["name"]], "authentication.kubernetes.io/node-uid": [bound["node"]["uid"]]}
    user = {
        "username": claims["sub"],
        "uid": bound["serviceaccount"]["uid"],
        "groups": ["system:serviceaccounts", "system:serviceaccounts:" + bound["namespace"], "system:authenticated"],
        "extra": extra,
    }
    return {"authenticated": True, "user": user, "audiences": shared}


class Asked(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: ApiServer

    def do_POST(self) -> None:
        api = self.server
        self.document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with api.lock:
            api.asked.append((self.path, dict(self.headers.items()), self.document))
            api.at_once += 1
            api.most_at_once = max(api.most_at_once, api.at_once)
        try:
            (api.behaviour or Asked.reviews)(self)
        except OSError:
            pass  # who asked has gone
        finally:
            with api.lock:
                api.at_once -= 1

    def reviews(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {self.server.own}":
            self.fails(401, "Unauthorized", "Unauthorized")
            return
        spec = self.document["spec"]
        self.says(review(spec["token"], spec["audiences"], self.server.with_node), spec)

    def says(self, status: Any, spec: Any = None) -> None:
        metadata = {"creationTimestamp": None}
        review = {"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "metadata": metadata}
        self.answers(201, json.dumps({**review, "spec": spec or {}, "status": status}).encode())

    def fails(self, code: int, reason: str, message: str) -> None:
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message}
        self.answers(code, json.dumps({**status, "reason": reason, "code": code}).encode())

    def answers(self, code: int, body: bytes, **headers: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class ApiServer(ThreadingHTTPServer):
    """``asked`` are (path, headers, document) of the requests that came. ``behaviour`` answers in its
    place; ``own`` is the token of whoever may ask."""

    request_queue_size = 128
    daemon_threads = True

    def __init__(self, place: Path, name: str = "server", port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Asked)
        self.place = place
        self.url = f"https://127.0.0.1:{self.server_address[1]}"
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(place / f"{name}.pem", place / f"{name}.key")
        self.own = token("worker-9", "https://kubernetes.default.svc.cluster.local", "headroom:headroom-aggregator")
        self.own_file = place / f"own-token-{self.server_address[1]}"
        self.write_own()
        self.lock = threading.Lock()
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.at_once = self.most_at_once = 0
        self.with_node = True
        self.behaviour: Callable[[Asked], None] | None = None
        self.released = threading.Event()  # ends what hangs
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def write_own(self) -> None:
        self.own_file.write_text(self.own + "\n")

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the connection's thread: a handshake that takes long keeps nobody else waiting."""
        try:
            request.settimeout(20)
            with self._context.wrap_socket(request, server_side=True) as wrapped:
                super().finish_request(wrapped, client_address)
        except OSError:
            pass  # who asked has gone, or does not trust us

    def flags(self) -> list[str]:
        """Of an aggregator that asks here."""
        place = self.place
        return [
            "--grpc.token-review",
            f"--grpc.token-review-url={self.url}",
            f"--grpc.token-review-ca-file={place}/ca.pem",
            f"--grpc.token-review-token-file={self.own_file}",
            f"--grpc.tls-cert={place}/server.pem",
            f"--grpc.tls-key={place}/server.key",
        ]


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
