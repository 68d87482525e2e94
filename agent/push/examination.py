"""What an agent needs to keep its records and to be believed by its aggregator, for ``headroom doctor``. Nothing is
written and nothing is sent: a Hello would speak for the agent that runs here.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from agent.config.load import Config
from agent.errors import AgentError, ConfigError
from agent.httpd.address import parse_address
from agent.push.disk import Disk
from agent.push.live_session import Limits
from agent.push.shelf import is_taken

if TYPE_CHECKING:
    import ssl

CONNECT_S: Final = 5.0
MIB: Final = 1 << 20
NODE_SINCE: Final = "Kubernetes before 1.30 puts none into tokens: use certificates there"


class Told(NamedTuple):
    """As a finding of doctor."""

    state: Literal["ok", "none", "lost"]
    subject: str
    detail: str


def examine(config: Config) -> Iterator[Told]:
    """A line for the spool, each credential and each target."""
    targets = config["push.target"]
    if not (targets or config["spool.dir"]):
        yield Told("none", "push", "neither --push.target nor --spool.dir: only who scrapes gets anything")
        return
    yield _spool(config["spool.dir"], config["spool.max-bytes"])
    if not targets:
        yield Told("none", "push", "no --push.target: records stay on this node until they are taken out")
        return
    if find_spec("grpc") is None:
        yield Told("lost", "push", "this installation has no gRPC, so nothing can be sent")
    context = None
    if config["push.insecure"]:
        yield Told("lost", "push TLS", "none: whoever is on the way reads and writes what is sent")
    else:
        context, told = _trust(config["push.tls-ca"])
        yield told
        yield from _credentials(config, context)
    for target in targets:
        if config["push.proxy"]:
            yield Told("none", f"aggregator {target}", "through --push.proxy, which is not tried here")
        else:
            yield _reached(target, context, config["push.insecure"])


def _spool(directory: str, most: int) -> Told:
    if not directory:
        return Told("lost", "spool", "no --spool.dir: what no aggregator has taken is gone with this process")
    place = directory
    while not os.path.exists(place) and place not in ("", "/"):
        place = os.path.dirname(place)
    if not os.access(place, os.W_OK | os.X_OK):
        return Told("lost", "spool", f"{place} cannot be written by user {os.geteuid()}: nothing is kept for an outage")
    disk = Disk()
    limit = most or min(Limits().max_bytes, disk.filesystem_bytes(place) // 100)
    held = sum(entry.stat().st_size for entry in _files(directory))
    by = ""
    try:
        by = "; an agent writes to it" if is_taken(disk, directory) else ""
    except OSError:
        pass  # it will be made
    return Told("ok", "spool", f"{directory}: {held / MIB:.1f} MiB of {limit / MIB:.0f} MiB at most{by}")


def _files(directory: str) -> Iterator[os.DirEntry[str]]:
    try:
        for entry in os.scandir(directory):
            yield from _files(entry.path) if entry.is_dir(follow_symlinks=False) else (entry,)
    except OSError:
        return  # gone meanwhile, or not ours


def _trust(ca: str) -> tuple[ssl.SSLContext | None, Told]:
    import ssl

    try:
        context = ssl.create_default_context(cafile=ca or None)
        if not ca:
            raise ConfigError("no --push.tls-ca")
    except (OSError, AgentError) as error:
        return None, Told("lost", "aggregator CA", f"{ca}: {error}: no aggregator is believed, nothing is sent")
    context.set_alpn_protocols(["h2"])
    return context, Told("ok", "aggregator CA", ca)


def _credentials(config: Config, context: ssl.SSLContext | None) -> Iterator[Told]:
    cert, key, token = config["push.tls-cert"], config["push.tls-key"], config["push.token-file"]
    if not (cert or token):
        yield Told(
            "lost", "aggregator identity", "neither --push.token-file nor --push.tls-cert says which node this is"
        )
    if cert and context is not None:
        try:
            context.load_cert_chain(cert, key)
            yield Told("ok", "aggregator certificate", cert)
        except OSError as error:
            yield Told("lost", "aggregator certificate", f"{cert}: {error}: the aggregator will not know this node")
    if token:
        yield _token(token, config["node-name"])


def _token(file: str, node: str) -> Told:
    """By what a projected ServiceAccount token says of itself; whether it is true the aggregator asks Kubernetes."""
    try:
        with open(file, encoding="ascii") as opened:
            said = opened.read(64 << 10)
    except (OSError, ValueError) as error:
        return Told("lost", "aggregator token", f"{error}: the aggregator will not know this node")
    try:
        part = said.split(".")[1]
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        left_s = float(claims["exp"]) - time.time()
        audience = ", ".join([claims["aud"]] if isinstance(claims["aud"], str) else claims["aud"])
        on = _mapping(_mapping(claims.get("kubernetes.io")).get("node")).get("name")
    except (ValueError, LookupError, TypeError, AttributeError):
        return Told("none", "aggregator token", f"{file}: not Kubernetes'; the aggregator knows what it means")
    if wrong := _wrong(left_s, on, node):
        return Told("lost", "aggregator token", f"{file}: {wrong}")
    return Told("ok", "aggregator token", f"of node {on}, for {audience}, for {left_s / 60:.0f} min more")


def _wrong(left_s: float, on: Any, node: str) -> str:
    if left_s <= 0:
        return f"ended {-left_s:.0f} s ago: the kubelet should have replaced it"
    if on is None:
        return f"it names no node. {NODE_SINCE}"
    if node and on != node:
        return f"of node {on}, and --node-name is {node}: it will be denied"
    return ""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _reached(target: str, context: ssl.SSLContext | None, plaintext: bool) -> Told:
    """Whether somebody listens there whom the CA vouches for. Whether it takes this node's records is said by
    ``headroom_push_connected`` of the agent that runs."""
    subject = f"aggregator {target}"
    try:
        host, port = parse_address(target)
        with socket.create_connection((host, port), CONNECT_S) as sock:
            if plaintext:
                return Told("ok", subject, "somebody listens there")
            if context is None:
                return Told("lost", subject, "somebody listens there, and cannot be known without a CA")
            with context.wrap_socket(sock, server_hostname=host) as wrapped:
                wrapped.getpeercert()
                return Told("ok", subject, "its certificate is for that name, and of that CA")
    except (OSError, AgentError, ValueError) as error:
        return Told("lost", subject, f"{error}: records wait in the spool")
