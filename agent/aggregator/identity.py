"""Who a peer is: what its credential says decides, and what it claims must agree. And which labels it may not set."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Final, NamedTuple

from agent.aggregator.known import NAME
from agent.errors import AgentError
from agent.model import Block

_SPIFFE: Final = re.compile(rf"spiffe://(?P<cluster>{NAME.pattern})/node/(?P<name>{NAME.pattern})", re.ASCII)
_FLAT: Final = ("histogram", "summary")


class Denied(AgentError):
    """This peer may not speak for that node."""

    code: ClassVar[str] = "PERMISSION_DENIED"


class Unauthenticated(Denied):
    """Nobody knows who this peer is."""

    code = "UNAUTHENTICATED"


class Unreviewed(AgentError):
    """Who could say who this peer is does not answer."""


class Identity(NamedTuple):
    """What a credential allows. ``names`` None: any node, of any cluster."""

    cluster: str
    names: tuple[str, ...] | None


def identity_of(auth: Mapping[str, Iterable[bytes]], cluster: str) -> Identity:
    """From gRPC's authentication context. A SPIFFE name is the whole identity; else DNS names or, without them, the CN
    are nodes of ``cluster``. Raises Denied."""
    alternatives = [text.decode("utf-8", "replace") for text in auth.get("x509_subject_alternative_name", ())]
    if spiffe := [text for text in alternatives if text.startswith("spiffe://")]:
        match = _SPIFFE.fullmatch(spiffe[0])
        if match is None or len(spiffe) > 1:
            raise Denied("the certificate's SPIFFE name is no spiffe://CLUSTER/node/NAME")
        return Identity(match["cluster"], (match["name"],))
    common = [text.decode("utf-8", "replace") for text in auth.get("x509_common_name", ())]
    names = tuple(text for text in alternatives or common if NAME.fullmatch(text))
    if not names:
        raise Denied("the certificate names no node")
    return Identity(cluster, names)


def claimed(identity: Identity, cluster: str, name: str) -> tuple[str, str]:
    """(cluster, node) of a Hello that claims these. A cluster that is not claimed is the identity's. Raises Denied."""
    own = cluster or identity.cluster
    if not NAME.fullmatch(own) or not NAME.fullmatch(name):
        raise Denied("a Hello without the name of a node and a cluster")
    if identity.names is not None and (own != identity.cluster or name not in identity.names):
        whose = ", ".join(f"{identity.cluster}/{one}" for one in identity.names)
        raise Denied(f"the Hello is that of {own}/{name}, the credential that of {whose}")
    return own, name


def unforged(blocks: Iterable[Block], name: str) -> Iterator[Block]:
    """Without those that would say who they are of: our labels decide, ``node`` may say the same."""
    for block in blocks:
        labels = block.family.labels
        if "cluster" in labels or "instance" in labels:
            continue
        if "node" in labels:
            place = labels.index("node") + 2 * (block.family.type in _FLAT)
            if any(key[place] != name for key in block.keys):
                continue
        yield block
