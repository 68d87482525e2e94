"""The machine in one line, for whoever reads the figures elsewhere."""

from __future__ import annotations

import os
import platform


def machine() -> str:
    kernel = platform.release().partition("-")[0]
    cpus = len(os.sched_getaffinity(0))
    return f"{cpus} x {_model()}, {_memory()}, Linux {kernel}, Python {platform.python_version()}"


def _model() -> str:
    return _field("/proc/cpuinfo", "model name") or platform.machine()


def _memory() -> str:
    kib = _field("/proc/meminfo", "MemTotal").split()
    return f"{int(kib[0]) >> 20} GiB" if kib else "memory unknown"


def _field(path: str, name: str) -> str:
    """Empty where there is none: ARM has no model name."""
    try:
        with open(path) as file:
            lines = [line.partition(":") for line in file]
    except OSError:
        return ""
    return next((text.strip() for field, _, text in lines if field.strip() == name), "")
