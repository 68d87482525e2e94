"""What was said of tokens a moment ago, so that thousands of agents that come at once do not wear out the API server.

Pure: time is an argument. Kept by the hash of a token, never by the token. What is refused has a place of its own, so
that whoever sends made-up tokens displaces nobody.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from agent.aggregator.token_review import Verdict

ACCEPTED_S: Final = 60.0
REFUSED_S: Final = 5.0
ACCEPTED_MAX: Final = 10_000
REFUSED_MAX: Final = 1_000


class Verdicts:
    """By key, each until its time is over or there are too many; the oldest go first."""

    def __init__(self, accepted_max: int = ACCEPTED_MAX, refused_max: int = REFUSED_MAX) -> None:
        self._accepted: OrderedDict[bytes, tuple[float, Verdict]] = OrderedDict()
        self._refused: OrderedDict[bytes, tuple[float, Verdict]] = OrderedDict()
        self._accepted_max = accepted_max
        self._refused_max = refused_max

    def __len__(self) -> int:
        return len(self._accepted) + len(self._refused)

    def find(self, key: bytes, now_s: float) -> Verdict | None:
        """What still holds."""
        until_s, verdict = self._accepted.get(key) or self._refused.get(key) or (0.0, None)
        return verdict if now_s < until_s else None

    def keep(self, key: bytes, verdict: Verdict, now_s: float, left_s: float) -> None:
        """``left_s``: until the token expires. What failed is not kept."""
        self._accepted.pop(key, None)
        self._refused.pop(key, None)
        if verdict.result == "accepted":
            self._accepted[key] = (now_s + min(ACCEPTED_S, left_s), verdict)
        elif verdict.result == "refused":
            self._refused[key] = (now_s + REFUSED_S, verdict)
        while len(self._accepted) > self._accepted_max:
            self._accepted.popitem(last=False)
        while len(self._refused) > self._refused_max:
            self._refused.popitem(last=False)
