"""How many tasks the kernel found stuck in an uninterruptible call, for two minutes unless told otherwise.

Only kernels since 6.13 with CONFIG_DETECT_HUNG_TASK count them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.model import Declared, Family, Part, Writer
from agent.sources.host import Host
from agent.sources.number import read_number

TASKS = Family(
    "node_kernel_hung_tasks_total",
    "counter",
    "Total number of tasks that have been detected as hung since the system booted.",
)


class KernelHung:
    name: Final = "kernel_hung"
    part: Final[Part] = "node"
    families: Final[Declared] = (TASKS,)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._procfs = host.procfs

    def collect(self, out: Writer) -> None:
        out.one(TASKS, read_number(self._procfs, "sys/kernel/hung_task_detect_count"))
