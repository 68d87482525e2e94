"""The collector ``pressure``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.collectors.pressure import Pressure
from agent.errors import Denied, Malformed, Unsupported
from agent.sources.host import Host


def _lines(**totals: int) -> str:
    return "".join(f"{kind} avg10=0.00 avg60=0.00 avg300=0.00 total={total}\n" for kind, total in totals.items())


MACHINE = {
    "proc/pressure/cpu": _lines(some=2997443, full=5),
    "proc/pressure/io": _lines(some=11559351, full=11323270),
    "proc/pressure/memory": _lines(some=0, full=0),
    "proc/pressure/irq": _lines(full=1500000),
}
SECONDS = {
    "node_pressure_cpu_waiting_seconds_total": 2.997443,
    "node_pressure_io_waiting_seconds_total": 11.559351,
    "node_pressure_io_stalled_seconds_total": 11.32327,
    "node_pressure_memory_waiting_seconds_total": 0,
    "node_pressure_memory_stalled_seconds_total": 0,
    "node_pressure_irq_stalled_seconds_total": 1.5,
}


def _without(word: str) -> dict[str, float]:
    return {series: value for series, value in SECONDS.items() if word not in series}


def test_totals_are_seconds(make_host: Callable[..., Host], collect: Any) -> None:
    """There is no stalling of the CPU as a whole, and no waiting for interrupts."""
    assert collect(Pressure(make_host(MACHINE), {})) == SECONDS


def test_each_file_is_optional(make_host: Callable[..., Host], collect: Any) -> None:
    """A kernel that is too old for one resource is no error."""
    files = {name: content for name, content in MACHINE.items() if "irq" not in name}
    samples = collect(Pressure(make_host(files), {}))
    assert samples == _without("irq")
    assert samples.errors == []


def test_without_any_file_it_is_unsupported(make_host: Callable[..., Host], collect: Any) -> None:
    """A whole failure that says what is missing."""
    with pytest.raises(Unsupported, match="CONFIG_PSI"):
        collect(Pressure(make_host({}), {}))


@pytest.mark.parametrize("content", ["garbage\n", "", _lines(most=1), _lines(full=1)])
def test_a_bad_file_costs_only_its_resource(make_host: Callable[..., Host], collect: Any, content: str) -> None:
    """Garbage, empty, or without the line that is needed."""
    samples = collect(Pressure(make_host(MACHINE | {"proc/pressure/memory": content}), {}))
    assert samples == _without("memory")
    assert [type(error) for error in samples.errors] == [Malformed]


def test_a_kernel_booted_without_it_is_a_whole_failure(make_host: Callable[..., Host], collect: Any) -> None:
    """The files are there, but cannot be opened."""

    class Off:
        def __init__(self, error: Exception) -> None:
            self.error = error

        def read(self, path: str) -> bytes:
            raise self.error

    for error in (Unsupported("pressure/cpu", "Operation not supported"), Denied("pressure/cpu")):
        host = make_host({})
        host.procfs = Off(error)
        with pytest.raises(type(error)):
            collect(Pressure(host, {}))
