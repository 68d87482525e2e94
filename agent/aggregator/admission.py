"""Who is at the other end of a stream: by its certificate, by its token, or because somebody said to believe it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from agent.aggregator.identity import Identity, identity_of
from agent.aggregator.reviewer import Reviewer
from agent.aggregator.token_review import bearer, expiry_unix_s

LEAST_S: Final = 60.0  # so that a clock that is ahead of the API server's does not end every stream at once


class Admitted(NamedTuple):
    """``until_s``: when the credential is over, by the monotonic clock."""

    identity: Identity
    until_s: float = math.inf


class Admission:
    """``cluster`` is that of nodes whose credential names none. With a reviewer the token alone says which node speaks:
    a certificate that is needed too only opens the connection."""

    def __init__(self, cluster: str, believed: bool, reviewer: Reviewer | None) -> None:
        self._cluster = cluster
        self._believed = believed
        self._reviewer = reviewer

    async def admit(self, auth: Mapping[str, Iterable[bytes]], metadata: Iterable[tuple[str, str | bytes]]) -> Admitted:
        """From gRPC's authentication context and a stream's metadata. Raises Denied, Unauthenticated, Unreviewed."""
        if self._reviewer:
            token = bearer(metadata)
            node = await self._reviewer.node_of(token)
            left_s = expiry_unix_s(token) - time.time()
            return Admitted(Identity(self._cluster, (node,)), time.monotonic() + max(left_s, LEAST_S))
        if self._believed:
            return Admitted(Identity(self._cluster, None))
        return Admitted(identity_of(auth, self._cluster))
