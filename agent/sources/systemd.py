"""systemd: its units, and what it says of each.

Source: org.freedesktop.systemd1 on the system bus, org.freedesktop.systemd1(5). Since: systemd's beginnings; a few
properties came later (SystemState with 212, NRestarts with 235, NRefused with 239) and are Unsupported before.
Shape: typed D-Bus values. Units: microseconds since 1970 (``...USec``, ``...Timestamp``) and counts; 2**64 - 1 is
infinity.
Errors: Unsupported without jeepney, Absent when the bus has no systemd, Malformed, and those of system_bus.py.
Cost: 7 us per unit of the list and 20 us per property for us, and as much again in systemd and the bus.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agent.errors import Malformed, Overdue, SourceError, Unsupported

if TYPE_CHECKING:
    from agent.sources.system_bus import Bus

TIMEOUT_S: Final = 1.5  # less than a collection's deadline: we say why it failed
NAME: Final = "org.freedesktop.systemd1"
MANAGER: Final = "/org/freedesktop/systemd1"
UNLIMITED: Final = (1 << 64) - 1
LABEL_CHARACTERS_MAX: Final = 255  # systemd's own limit for the names of units
_UNITS: Final = "a(ssssssouso)"


class Property(NamedTuple):
    """A property of an interface of systemd's objects. ``type`` is the D-Bus type: s text, u 32 and t 64 bits."""

    interface: str
    name: str
    type: str


VERSION: Final = Property("Manager", "Version", "s")
VIRTUALIZATION: Final = Property("Manager", "Virtualization", "s")
SYSTEM_STATE: Final = Property("Manager", "SystemState", "s")
ACTIVE_ENTER_TIMESTAMP: Final = Property("Unit", "ActiveEnterTimestamp", "t")
MOUNT_TYPE: Final = Property("Mount", "Type", "s")
SERVICE_TYPE: Final = Property("Service", "Type", "s")
SERVICE_RESTARTS: Final = Property("Service", "NRestarts", "u")
SERVICE_TASKS: Final = Property("Service", "TasksCurrent", "t")
SERVICE_TASKS_MAX: Final = Property("Service", "TasksMax", "t")
SOCKET_ACCEPTED: Final = Property("Socket", "NAccepted", "u")
SOCKET_CONNECTIONS: Final = Property("Socket", "NConnections", "u")
SOCKET_REFUSED: Final = Property("Socket", "NRefused", "u")
TIMER_LAST_TRIGGER: Final = Property("Timer", "LastTriggerUSec", "t")


class Unit(NamedTuple):
    """A unit that systemd has in memory. ``path`` is its object."""

    name: str
    load_state: str
    active_state: str
    path: str


def parse_units(answer: Any) -> tuple[Unit, ...]:
    """Shape: rows of (name, description, load, active, sub state, followed unit, path, job's number, type and path)."""
    units = tuple(Unit(row[0], row[2], row[3], row[6]) for row in answer)
    if len({unit.name for unit in units}) < len(units):
        raise Malformed("ListUnits", "a unit is listed twice")
    for unit in units:
        if max(len(unit.name), len(unit.active_state)) > LABEL_CHARACTERS_MAX:
            raise Malformed("ListUnits", "longer than systemd allows", unit.name)
    return units


class Systemd:
    """The systemd of a node, over a connection that is kept until it fails. Threads: any; they take turns."""

    def __init__(self, address: str, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._bus: Bus | None = None

    def units(self) -> tuple[Unit, ...]:
        """All units, in the order in which systemd keeps them. Raises SourceError."""
        (answer,) = self._ask([_library().method(MANAGER, f"{NAME}.Manager", "ListUnits", _UNITS)])
        if isinstance(answer, SourceError):
            raise answer
        return parse_units(answer)

    def get(self, wanted: Sequence[tuple[str, Property]]) -> list[Any]:
        """The property of each object: its value, or the SourceError in its place. Raises SourceError."""
        get = _library().get
        calls = [get(path, f"{NAME}.{interface}", name, type) for path, (interface, name, type) in wanted]
        return [_bounded(call, answer) for call, answer in zip(calls, self._ask(calls), strict=True)]

    def _ask(self, calls: Sequence[Any]) -> list[Any]:
        with self._lock:
            bus, self._bus = self._bus, None  # a connection that fails is not kept
            answers = None
            if bus is not None:
                try:
                    answers = bus.ask(NAME, calls)
                except (Overdue, Malformed):
                    raise
                except SourceError:
                    bus = None  # closed since the last collection: perhaps the bus was restarted
            if answers is None:
                bus = _library().Bus(self._address, self._timeout_s)
                answers = bus.ask(NAME, calls)
            self._bus = bus
            return answers


def _bounded(call: Any, answer: Any) -> Any:
    if isinstance(answer, str) and len(answer) > LABEL_CHARACTERS_MAX:
        return Malformed(call.what, "longer than a label may be", answer)
    return answer


def _library() -> ModuleType:
    """What speaks D-Bus, loaded when it is first needed. Raises Unsupported."""
    try:
        from agent.sources import system_bus
    except ImportError as error:
        raise Unsupported("systemd", f"{error}: pip install 'headroom-agent[systemd]'") from None
    return system_bus
