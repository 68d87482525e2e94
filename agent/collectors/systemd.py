"""Which units of systemd run, which failed, how often services were restarted.

What a property says of a unit is asked one by one, as systemd has it no other way: the flags that add one cost a call
per service and collection. Left out: a version without a number (node_exporter says 0), and what a unit does not tell.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from agent.errors import Malformed, SourceError, Unsupported
from agent.model import Declared, Family, Key, Part, Value, Writer
from agent.sources import systemd
from agent.sources.calls import RecordedCalls
from agent.sources.host import Host
from agent.sources.systemd import Property, Unit

UNITS_MAX: Final = 2000
STATES: Final = ("active", "activating", "deactivating", "inactive", "failed")
STATES_MAX: Final = 16  # systemd has a few more, for moments

_BY_NAME: Final = ("name",)
STATE = Family("node_systemd_unit_state", "gauge", "Systemd unit", ("name", "state", "type"))
START_TIME = Family(
    "node_systemd_unit_start_time_seconds", "gauge", "Start time of the unit since unix epoch in seconds.", _BY_NAME
)
TASKS = Family("node_systemd_unit_tasks_current", "gauge", "Current number of tasks per Systemd unit", _BY_NAME)
TASKS_MAX = Family("node_systemd_unit_tasks_max", "gauge", "Maximum number of tasks per Systemd unit", _BY_NAME)
RUNNING = Family(
    "node_systemd_system_running", "gauge", "Whether the system is operational (see 'systemctl is-system-running')"
)
SUMMARY = Family("node_systemd_units", "gauge", "Summary of systemd unit states", ("state",))
RESTARTS = Family("node_systemd_service_restart_total", "counter", "Service unit count of Restart triggers", _BY_NAME)
LAST_TRIGGER = Family(
    "node_systemd_timer_last_trigger_seconds", "gauge", "Seconds since epoch of last trigger.", _BY_NAME
)
ACCEPTED = Family(
    "node_systemd_socket_accepted_connections_total",
    "counter",
    "Total number of accepted socket connections",
    _BY_NAME,
)
CONNECTIONS = Family(
    "node_systemd_socket_current_connections", "gauge", "Current number of socket connections", _BY_NAME
)
REFUSED = Family(
    "node_systemd_socket_refused_connections_total",
    "gauge",
    "Total number of refused socket connections",
    _BY_NAME,
)
VERSION = Family("node_systemd_version", "gauge", "Detected systemd version", ("version",))
VIRTUALIZATION = Family(
    "node_systemd_virtualization_info", "gauge", "Detected virtualization technology", ("virtualization_type",)
)


class Figure(NamedTuple):
    """A family with a number for every unit of a kind: the property, divided."""

    family: Family
    kind: str
    property: Property
    divisor: int = 1


_MICROSECONDS: Final = 1_000_000
_FIGURES: Final = (
    Figure(LAST_TRIGGER, "timer", systemd.TIMER_LAST_TRIGGER, _MICROSECONDS),
    Figure(ACCEPTED, "socket", systemd.SOCKET_ACCEPTED),
    Figure(CONNECTIONS, "socket", systemd.SOCKET_CONNECTIONS),
    Figure(REFUSED, "socket", systemd.SOCKET_REFUSED),
)
_FIGURES_BY_OPTION: Final = {
    "enable-restarts-metrics": (Figure(RESTARTS, "service", systemd.SERVICE_RESTARTS),),
    "enable-task-metrics": (
        Figure(TASKS, "service", systemd.SERVICE_TASKS),
        Figure(TASKS_MAX, "service", systemd.SERVICE_TASKS_MAX),
    ),
}
_TYPES: Final = {systemd.SERVICE_TYPE: "service", systemd.MOUNT_TYPE: "mount"}
_VERSION_NUMBER: Final = re.compile(r"[0-9]{3,}(\.[0-9]+)?")
_ACTIVITY: Final = {state: tuple(int(state == other) for other in STATES) for state in STATES}
_OTHER_ACTIVITY: Final = (0,) * len(STATES)


class Systemd:
    """Threads: any. What one collection remembers for the next is replaced as a whole."""

    name: Final = "systemd"
    part: Final[Part] = "node"
    families: Final[Declared] = (
        *(VERSION, VIRTUALIZATION, RUNNING, SUMMARY, STATE, START_TIME, TASKS, TASKS_MAX, RESTARTS),
        *(LAST_TRIGGER, ACCEPTED, CONNECTIONS, REFUSED),
    )

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._systemd = systemd.Systemd(options["address"], systemd.TIMEOUT_S)
        self._recorded = isinstance(host.calls, RecordedCalls)
        self._include = re.compile(options["unit-include"])
        self._exclude = re.compile(options["unit-exclude"])
        self._starts = options["enable-start-time-metrics"]
        chosen = (figures for option, figures in _FIGURES_BY_OPTION.items() if options[option])
        self._figures = (*_FIGURES, *(figure for figures in chosen for figure in figures))
        self._verdicts: dict[str, bool] = {}
        self._keys: dict[Family, tuple[Key, ...]] = {}
        self._layout: tuple[tuple[tuple[str, str], ...], tuple[Key, ...]] = ((), ())

    def collect(self, out: Writer) -> None:
        if self._recorded:
            raise Unsupported("systemd", "a recorded node has no bus, and this machine's is not its")
        units = self._systemd.units()
        self._manager(out)
        self._summary(out, units)
        with out.optional:
            self._units(out, self._reported(out, units))

    def _manager(self, out: Writer) -> None:
        wanted = (systemd.VERSION, systemd.VIRTUALIZATION, systemd.SYSTEM_STATE)
        version, virtualization, state = self._systemd.get([(systemd.MANAGER, property) for property in wanted])
        with out.optional:
            number = _VERSION_NUMBER.search(_value(version))
            if number is None:
                raise Malformed("Version", "no number", version)
            out.many(VERSION, ((version,),), (float(number[0]),))
        with out.optional:
            out.info(VIRTUALIZATION, (_value(virtualization) or "none",))
        with out.optional:
            out.one(RUNNING, int(_value(state) == "running"))

    def _summary(self, out: Writer, units: Sequence[Unit]) -> None:
        counts = Counter(unit.active_state for unit in units)
        states = (*STATES, *sorted(set(counts).difference(STATES)))
        if len(states) > STATES_MAX:
            raise Malformed("ListUnits", f"{len(states)} states of units")
        self._write(out, SUMMARY, {state: counts[state] for state in states})

    def _reported(self, out: Writer, units: Sequence[Unit]) -> list[Unit]:
        """The loaded units that pass the filter, by name. Verdicts are remembered as long as the unit is there."""
        known = self._verdicts
        names = [unit.name for unit in units]
        self._verdicts = verdicts = {name: known[name] if name in known else self._passes(name) for name in names}
        reported = sorted(unit for unit in units if unit.load_state == "loaded" and verdicts[unit.name])
        with out.optional:
            if len(reported) > UNITS_MAX:
                cure = "leave some out with --collector.systemd.unit-exclude"
                raise SourceError("units", f"only {UNITS_MAX} of {len(reported)} are reported: {cure}")
        return reported[:UNITS_MAX]

    def _passes(self, name: str) -> bool:
        """Unlike in other collectors the whole name must match, and both regexps hold."""
        return self._include.fullmatch(name) is not None and self._exclude.fullmatch(name) is None

    def _units(self, out: Writer, units: Sequence[Unit]) -> None:
        of_kind: dict[str, list[Unit]] = {}
        for unit in units:
            of_kind.setdefault(unit.name.rpartition(".")[2], []).append(unit)
        wanted = {property: of_kind.get(kind, []) for property, kind in _TYPES.items()}
        wanted |= {figure.property: of_kind.get(figure.kind, []) for figure in self._figures}
        if self._starts:
            wanted[systemd.ACTIVE_ENTER_TIMESTAMP] = [unit for unit in units if unit.active_state == "active"]
        told = self._ask(out, wanted)
        types = {name: type for property in _TYPES for name, type in told[property].items()}
        self._write_states(out, [(unit, types.get(unit.name, "")) for unit in units])
        for family, _, property, divisor in self._figures:
            limited = {name: value for name, value in told[property].items() if value != systemd.UNLIMITED}
            self._write(out, family, _divided(limited, divisor))
        if self._starts:
            entered = told[systemd.ACTIVE_ENTER_TIMESTAMP]
            starts = {u.name: entered.get(u.name, 0) for u in units if u.active_state != "active" or u.name in entered}
            self._write(out, START_TIME, _divided(starts, _MICROSECONDS))

    def _ask(self, out: Writer, wanted: Mapping[Property, Sequence[Unit]]) -> dict[Property, dict[str, Any]]:
        """All properties in one go, by property and unit. What units do not tell is missing, and noted once."""
        answers = iter(self._systemd.get([(unit.path, property) for property, of in wanted.items() for unit in of]))
        told = {}
        for property, units in wanted.items():
            given = {unit.name: next(answers) for unit in units}
            told[property] = {name: answer for name, answer in given.items() if not isinstance(answer, SourceError)}
            with out.optional:
                for answer in given.values():
                    _value(answer)
        return told

    def _write_states(self, out: Writer, units: Sequence[tuple[Unit, str]]) -> None:
        layout = tuple((unit.name, type) for unit, type in units)
        known, keys = self._layout
        if layout != known:
            keys = tuple((name, state, type) for name, type in layout for state in STATES)
            self._layout = (layout, keys)
        values = [value for unit, _ in units for value in _ACTIVITY.get(unit.active_state, _OTHER_ACTIVITY)]
        out.many(STATE, keys, values)

    def _write(self, out: Writer, family: Family, values: Mapping[str, Value]) -> None:
        """A family with one label."""
        keys: tuple[Key, ...] = tuple((name,) for name in values)
        known = self._keys.get(family)
        if keys == known:
            keys = known  # the same object: its rendering is remembered
        self._keys[family] = keys
        out.many(family, keys, list(values.values()))


def _value(answer: Any) -> Any:
    """What systemd answered, or raises why it did not."""
    if isinstance(answer, SourceError):
        raise answer
    return answer


def _divided(values: Mapping[str, Value], divisor: int) -> Mapping[str, Value]:
    return values if divisor == 1 else {name: value / divisor for name, value in values.items()}
