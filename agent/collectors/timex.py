"""How well the kernel's clock is disciplined: adjtimex(2), and its pulse-per-second half where there is such a signal.

The call answers in microseconds, except that ``offset`` and ``jitter`` are nanoseconds while STA_NANO is set.
Frequencies are parts per million with 16 fractional bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.model import Declared, Family, Part, Writer
from agent.sources.host import Host

SYNC_STATUS = Family("node_timex_sync_status", "gauge", "Is clock synchronized to a reliable server (1 = yes, 0 = no).")
OFFSET = Family("node_timex_offset_seconds", "gauge", "Time offset in between local system and reference clock.")
FREQUENCY = Family("node_timex_frequency_adjustment_ratio", "gauge", "Local clock frequency adjustment.")
MAXERROR = Family("node_timex_maxerror_seconds", "gauge", "Maximum error in seconds.")
ESTERROR = Family("node_timex_estimated_error_seconds", "gauge", "Estimated error in seconds.")
STATUS = Family("node_timex_status", "gauge", "Value of the status array bits.")
CONSTANT = Family("node_timex_loop_time_constant", "gauge", "Phase-locked loop time constant.")
TICK = Family("node_timex_tick_seconds", "gauge", "Seconds between clock ticks.")
PPS_FREQUENCY = Family("node_timex_pps_frequency_hertz", "gauge", "Pulse per second frequency.")
PPS_JITTER = Family("node_timex_pps_jitter_seconds", "gauge", "Pulse per second jitter.")
PPS_SHIFT = Family("node_timex_pps_shift_seconds", "gauge", "Pulse per second interval duration.")
PPS_STABILITY = Family(
    "node_timex_pps_stability_hertz", "gauge", "Pulse per second stability, average of recent frequency changes."
)
PPS_JITTERS = Family(
    "node_timex_pps_jitter_total", "counter", "Pulse per second count of jitter limit exceeded events."
)
PPS_CALIBRATIONS = Family(
    "node_timex_pps_calibration_total", "counter", "Pulse per second count of calibration intervals."
)
PPS_ERRORS = Family("node_timex_pps_error_total", "counter", "Pulse per second count of calibration errors.")
PPS_STABILITY_EXCEEDED = Family(
    "node_timex_pps_stability_exceeded_total",
    "counter",
    "Pulse per second count of stability limit exceeded events.",
)
TAI_OFFSET = Family("node_timex_tai_offset_seconds", "gauge", "International Atomic Time (TAI) offset.")

STA_NANO: Final = 0x2000
TIME_ERROR: Final = 5  # the call's result while nothing synchronizes the clock
USEC_PER_S: Final = 1_000_000
NSEC_PER_S: Final = 1_000_000_000
SCALED_PPM: Final = 1_000_000 * (1 << 16)


class Timex:
    name: Final = "timex"
    part: Final[Part] = "node"
    families: Final[Declared] = (
        SYNC_STATUS,
        OFFSET,
        FREQUENCY,
        MAXERROR,
        ESTERROR,
        STATUS,
        CONSTANT,
        TICK,
        PPS_FREQUENCY,
        PPS_JITTER,
        PPS_SHIFT,
        PPS_STABILITY,
        PPS_JITTERS,
        PPS_CALIBRATIONS,
        PPS_ERRORS,
        PPS_STABILITY_EXCEEDED,
        TAI_OFFSET,
    )

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._calls = host.calls

    def collect(self, out: Writer) -> None:
        timex = self._calls.adjtimex()
        fine_per_s = NSEC_PER_S if timex.status & STA_NANO else USEC_PER_S
        out.one(SYNC_STATUS, 0 if timex.state == TIME_ERROR else 1)
        out.one(OFFSET, timex.offset / fine_per_s)
        out.one(FREQUENCY, 1 + timex.frequency / SCALED_PPM)
        out.one(MAXERROR, timex.maxerror / USEC_PER_S)
        out.one(ESTERROR, timex.esterror / USEC_PER_S)
        out.one(STATUS, timex.status)
        out.one(CONSTANT, timex.constant)
        out.one(TICK, timex.tick / USEC_PER_S)
        out.one(PPS_FREQUENCY, timex.pps_frequency / SCALED_PPM)
        out.one(PPS_JITTER, timex.jitter / fine_per_s)
        out.one(PPS_SHIFT, timex.shift)
        out.one(PPS_STABILITY, timex.stability / SCALED_PPM)
        out.one(PPS_JITTERS, timex.jitter_count)
        out.one(PPS_CALIBRATIONS, timex.calibration_count)
        out.one(PPS_ERRORS, timex.error_count)
        out.one(PPS_STABILITY_EXCEEDED, timex.stability_count)
        out.one(TAI_OFFSET, timex.tai)
