"""The bodies of a real kubelet 1.36.2, and small ones made by hand."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any, Final

PLACE: Final = Path(__file__).resolve().parents[1] / "fixtures" / "kubelet"
RECORDINGS: Final = ("idle", "memory-pressure", "imagefs-is-nodefs")


@cache
def body(recording: str, name: str) -> bytes:
    """``name`` is ``pods``, ``stats_summary`` or ``configz``."""
    return gzip.decompress((PLACE / recording / f"{name}.json.gz").read_bytes())


@cache
def flagz(recording: str) -> bytes:
    """Its flags, which are text; not recorded under memory pressure."""
    return gzip.decompress((PLACE / recording / "flagz.txt.gz").read_bytes())


@cache
def cadvisor(recording: str) -> bytes:
    """Its ``/metrics/cadvisor``, which is text; only of the idle node."""
    return gzip.decompress((PLACE / recording / "metrics_cadvisor.txt.gz").read_bytes())


def said(recording: str, name: str) -> Any:
    """The same body as the standard library reads it."""
    return json.loads(body(recording, name))
