"""The families of containers: cAdvisor's names, types, HELP and labels, and which field of ours each one is.

Left out, though cAdvisor has them: what no dashboard or rule of the Kubernetes mixins asks for, or what would be a
constant: ``container_last_seen`` (the sample's own time), ``_health_state`` (Docker's), ``_cpu_load_average_10s`` and
``_tasks_state`` (0 in a kubelet), ``_memory_kernel_usage``, ``_memory_total_{active,inactive}_file_bytes``,
``_sockets``, ``_threads_max``, ``_ulimits_soft``, and all ``_fs_*`` but reads and writes (of the node, not a container,
in a kubelet; what containers hold on disks is ``kubelet_*`` and pod storage).
"""

from __future__ import annotations

from typing import Final

from agent.collectors.container_names import LABELS
from agent.model import Family, Type

NANOSECONDS: Final = 1_000_000_000
MICROSECONDS: Final = 1_000_000


def _family(name: str, type: Type, help: str, *extra: str) -> Family:
    return Family(f"container_{name}", type, help, tuple(sorted((*LABELS, *extra))))


_Fields = tuple[tuple[str, Family, int], ...]
"""The field of the struct, its family, and how many of the field's unit make one of the family's."""

CPU_USAGE = _family("cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed in seconds.", "cpu")
MEMORY_FAILURES = _family(
    "memory_failures_total", "counter", "Cumulative count of memory allocation failures.", "failure_type", "scope"
)
USAGE: Final[_Fields] = (
    (
        "cpu_user_ns",
        _family("cpu_user_seconds_total", "counter", "Cumulative user cpu time consumed in seconds."),
        NANOSECONDS,
    ),
    (
        "cpu_system_ns",
        _family("cpu_system_seconds_total", "counter", "Cumulative system cpu time consumed in seconds."),
        NANOSECONDS,
    ),
    (
        "memory_usage_bytes",
        _family(
            "memory_usage_bytes",
            "gauge",
            "Current memory usage in bytes, including all memory regardless of when it was accessed",
        ),
        1,
    ),
    (
        "memory_working_set_bytes",
        _family("memory_working_set_bytes", "gauge", "Current working set in bytes."),
        1,
    ),
    ("memory_rss_bytes", _family("memory_rss", "gauge", "Size of RSS in bytes."), 1),
    ("memory_cache_bytes", _family("memory_cache", "gauge", "Number of bytes of page cache memory."), 1),
    ("memory_mapped_file_bytes", _family("memory_mapped_file", "gauge", "Size of memory mapped files in bytes."), 1),
    ("threads", _family("threads", "gauge", "Number of threads running inside the container"), 1),
)
DETAIL: Final[_Fields] = (
    ("memory_swap_bytes", _family("memory_swap", "gauge", "Container swap usage in bytes."), 1),
    (
        "memory_max_usage_bytes",
        _family("memory_max_usage_bytes", "gauge", "Maximum memory usage recorded in bytes"),
        1,
    ),
    ("limit_hits", _family("memory_failcnt", "counter", "Number of memory usage hits limits"), 1),
    (
        "oom_kills",
        _family("oom_events_total", "counter", "Count of out of memory events observed for the container"),
        1,
    ),
    ("processes", _family("processes", "gauge", "Number of processes running inside the container."), 1),
    (
        "file_descriptors",
        _family("file_descriptors", "gauge", "Number of open file descriptors for the container."),
        1,
    ),
)
THROTTLING: Final[_Fields] = (
    ("periods", _family("cpu_cfs_periods_total", "counter", "Number of elapsed enforcement period intervals."), 1),
    (
        "throttled_periods",
        _family("cpu_cfs_throttled_periods_total", "counter", "Number of throttled period intervals."),
        1,
    ),
    (
        "throttled_ns",
        _family("cpu_cfs_throttled_seconds_total", "counter", "Total time duration the container has been throttled."),
        NANOSECONDS,
    ),
    ("bursts", _family("cpu_cfs_burst_periods_total", "counter", "Number of periods when burst occurs."), 1),
    (
        "burst_ns",
        _family("cpu_cfs_burst_seconds_total", "counter", "Total time duration the container has been bursted."),
        NANOSECONDS,
    ),
)
CPU_SPEC: Final[_Fields] = (
    ("cpu_period_usec", _family("spec_cpu_period", "gauge", "CPU period of the container."), 1),
    ("cpu_quota_usec", _family("spec_cpu_quota", "gauge", "CPU quota of the container."), 1),
    ("cpu_shares", _family("spec_cpu_shares", "gauge", "CPU share of the container."), 1),
)
MEMORY_SPEC: Final[_Fields] = (
    ("memory_limit_bytes", _family("spec_memory_limit_bytes", "gauge", "Memory limit for the container."), 1),
    (
        "memory_swap_limit_bytes",
        _family("spec_memory_swap_limit_bytes", "gauge", "Memory swap limit for the container."),
        1,
    ),
    (
        "memory_reservation_bytes",
        _family("spec_memory_reservation_limit_bytes", "gauge", "Memory reservation limit for the container."),
        1,
    ),
)
START_TIME = _family("start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds.")


def _pressure(resource: str, shown: str) -> tuple[Family, Family]:
    """Waiting (some task) and stalled (all of them)."""
    return (
        _family(
            f"pressure_{resource}_waiting_seconds_total",
            "counter",
            f"Total time duration tasks in the container have waited due to {shown} congestion.",
        ),
        _family(
            f"pressure_{resource}_stalled_seconds_total",
            "counter",
            f"Total time duration no tasks in the container could make progress due to {shown} congestion.",
        ),
    )


PRESSURE: Final = (
    ("cpu_pressure", *_pressure("cpu", "CPU")),
    ("memory_pressure", *_pressure("memory", "memory")),
    ("io_pressure", *_pressure("io", "IO")),
)
BLKIO = _family(
    "blkio_device_usage_total", "counter", "Blkio Device bytes usage", "device", "major", "minor", "operation"
)
READ_BYTES = _family("fs_reads_bytes_total", "counter", "Cumulative count of bytes read", "device")
WRITTEN_BYTES = _family("fs_writes_bytes_total", "counter", "Cumulative count of bytes written", "device")
READS = _family("fs_reads_total", "counter", "Cumulative count of reads completed", "device")
WRITES = _family("fs_writes_total", "counter", "Cumulative count of writes completed", "device")
IO: Final = (BLKIO, READ_BYTES, WRITTEN_BYTES, READS, WRITES)

FAMILIES: Final = (
    CPU_USAGE,
    MEMORY_FAILURES,
    START_TIME,
    *(family for table in (USAGE, DETAIL, THROTTLING, CPU_SPEC, MEMORY_SPEC) for _, family, _ in table),
    *(family for _, waiting, stalled in PRESSURE for family in (waiting, stalled)),
    *IO,
)
