"""Waiting for what another thread or process does: by looking again and again, until a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 20.0
LOOK_S = 0.01


def until(true: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Fails when it does not become true in time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(LOOK_S)
