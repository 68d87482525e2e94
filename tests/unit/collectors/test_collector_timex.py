"""The collector ``timex``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.collectors.timex import Timex
from agent.errors import Denied
from agent.sources.calls import Timex as Answer
from agent.sources.host import Host

NANO = 0x2000
PPM = 65536 * 10**6


def _answer(state: int = 0, status: int = 0) -> Answer:
    return Answer(
        state=state,
        offset=-1500,
        frequency=-PPM // 4,
        maxerror=16000000,
        esterror=250000,
        status=status,
        constant=7,
        tick=10000,
        pps_frequency=PPM // 2,
        jitter=3000,
        shift=9,
        stability=PPM,
        jitter_count=10,
        calibration_count=11,
        error_count=12,
        stability_count=13,
        tai=37,
    )


def test_every_field_has_its_divisor(make_host: Callable[..., Host], collect: Any, calls: Any) -> None:
    """Without STA_NANO all times are microseconds; frequencies are ppm with 16 fractional bits."""
    calls.timex = _answer(status=1)
    assert collect(Timex(make_host({}), {})) == {
        "node_timex_sync_status": 1,
        "node_timex_offset_seconds": -0.0015,
        "node_timex_frequency_adjustment_ratio": 0.75,
        "node_timex_maxerror_seconds": 16,
        "node_timex_estimated_error_seconds": 0.25,
        "node_timex_status": 1,
        "node_timex_loop_time_constant": 7,
        "node_timex_tick_seconds": 0.01,
        "node_timex_pps_frequency_hertz": 0.5,
        "node_timex_pps_jitter_seconds": 0.003,
        "node_timex_pps_shift_seconds": 9,
        "node_timex_pps_stability_hertz": 1,
        "node_timex_pps_jitter_total": 10,
        "node_timex_pps_calibration_total": 11,
        "node_timex_pps_error_total": 12,
        "node_timex_pps_stability_exceeded_total": 13,
        "node_timex_tai_offset_seconds": 37,
    }


def test_sta_nano_makes_only_offset_and_jitter_finer(make_host: Callable[..., Host], collect: Any, calls: Any) -> None:
    """The other times stay microseconds."""
    calls.timex = _answer(status=1)
    coarse = collect(Timex(make_host({}), {}))
    calls.timex = _answer(status=1 | NANO)
    fine = collect(Timex(make_host({}), {}))
    assert {series: fine[series] for series in fine if fine[series] != coarse[series]} == {
        "node_timex_offset_seconds": -0.0000015,
        "node_timex_pps_jitter_seconds": 0.000003,
        "node_timex_status": 1 | NANO,
    }


@pytest.mark.parametrize(("state", "synced"), [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 0)])
def test_only_time_error_is_unsynchronized(
    make_host: Callable[..., Host], collect: Any, calls: Any, state: int, synced: int
) -> None:
    """Leap seconds to come, under way or over are not errors; the status bits do not decide."""
    calls.timex = _answer(state=state, status=64)
    assert collect(Timex(make_host({}), {}))["node_timex_sync_status"] == synced


def test_a_refused_call_is_a_whole_failure(make_host: Callable[..., Host], collect: Any, calls: Any) -> None:
    """A sandbox may forbid it."""
    calls.timex = Denied("adjtimex(2)", "Operation not permitted")
    with pytest.raises(Denied):
        collect(Timex(make_host({}), {}))
