"""What a container used and may use, the same structs for v1 and v2. None is what this kernel does not say.

CPU times are nanoseconds, to which the readers turn the kernel's ticks and microseconds. ``Usage`` is read at every
collection; ``Detail`` is what moves rarely or is dear, ``Spec`` what is set.
"""

from __future__ import annotations

from typing import NamedTuple

from agent.sources.pressure import Pressure

Io = dict[tuple[str, str], int]
"""By device (``259:0``) and operation (``Read``, ``Write``, and on v1 ``Sync``, ``Async``, ``Discard``, ``Total``)."""


class Throttling(NamedTuple):
    """How the CPU quota was enforced, since the container was made."""

    periods: int | None
    throttled_periods: int | None
    throttled_ns: int | None
    bursts: int | None
    burst_ns: int | None


class Usage(NamedTuple):
    """``working_set_bytes`` is usage without inactive file pages, never below 0: the kubelet's measure."""

    cpu_usage_ns: int | None
    cpu_user_ns: int | None
    cpu_system_ns: int | None
    memory_usage_bytes: int | None
    memory_working_set_bytes: int | None
    memory_rss_bytes: int | None
    memory_cache_bytes: int | None
    memory_mapped_file_bytes: int | None
    page_faults: int | None
    major_page_faults: int | None
    threads: int | None
    io_bytes: Io | None


class Detail(NamedTuple):
    """``limit_hits`` counts how often the memory limit stood in the way, ``oom_kills`` the processes it cost."""

    throttling: Throttling | None
    memory_swap_bytes: int | None
    memory_max_usage_bytes: int | None
    limit_hits: int | None
    oom_kills: int | None
    processes: int | None
    file_descriptors: int | None
    io_operations: Io | None
    cpu_pressure: Pressure | None
    memory_pressure: Pressure | None
    io_pressure: Pressure | None


class Spec(NamedTuple):
    """Limits. A memory limit of ``UNLIMITED`` is none; ``cpu_quota_usec`` is None where there is no quota."""

    cpu_period_usec: int | None
    cpu_quota_usec: int | None
    cpu_shares: int | None
    memory_limit_bytes: int | None
    memory_swap_limit_bytes: int | None
    memory_reservation_bytes: int | None


UNLIMITED = 1 << 62
"""v1 writes the largest page-aligned number; v2 writes ``max``, which the reader turns into this."""
