"""The node's software RAID: how many disks each array has and needs, and what it is busy with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from agent.errors import Absent, Gone
from agent.model import Declared, Family, Key, Part, Writer
from agent.sources.host import Host
from agent.sources.mdstat import MdArray, MdDisks, read_md_disks, read_mdstat


def _gauge(name: str, help: str, *labels: str) -> Family:
    return Family(f"node_md_{name}", "gauge", help, ("device", *labels))


STATE = _gauge("state", "Indicates the state of md-device.", "state")
DISKS = _gauge("disks", "Number of active/failed/spare disks of device.", "state")
DISKS_REQUIRED = _gauge("disks_required", "Total number of disks of device.")
BLOCKS = _gauge("blocks", "Total number of blocks on device.")
BLOCKS_SYNCED = _gauge("blocks_synced", "Number of blocks synced on device.")
RAID_DISKS = _gauge("raid_disks", "Number of raid disks on device.")
DEGRADED = _gauge("degraded", "Number of degraded disks on device.")

# The label and the array's state that sets it; a state beyond these (reshaping, broken) sets none.
STATES: Final = {
    "active": "active",
    "inactive": "inactive",
    "recovering": "recovering",
    "resync": "resyncing",
    "check": "checking",
}


class Mdadm:
    name: Final = "mdadm"
    part: Final[Part] = "node"
    families: Final[Declared] = (STATE, DISKS, DISKS_REQUIRED, BLOCKS, BLOCKS_SYNCED, RAID_DISKS, DEGRADED)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._host = host
        self._devices: tuple[Key, ...] = ()
        self._with_disks: tuple[Key, ...] = ()
        self._with_states: tuple[Key, ...] = ()

    def collect(self, out: Writer) -> None:
        try:
            arrays = read_mdstat(self._host.procfs)
        except Gone as gone:
            raise Absent(gone.path, "no software RAID") from None
        self._write_arrays(arrays, out)
        if arrays:
            with out.optional:
                _write_disks(read_md_disks(self._host.sysfs), out)

    def _write_arrays(self, arrays: Sequence[MdArray], out: Writer) -> None:
        devices = tuple((array.device,) for array in arrays)
        if devices != self._devices:
            self._devices = devices
            self._with_disks = tuple((a.device, state) for a in arrays for state in ("active", "failed", "spare"))
            self._with_states = tuple((a.device, state) for a in arrays for state in STATES)
        disks = [count for a in arrays for count in (a.disks_active, a.disks_failed, a.disks_spare)]
        out.many(STATE, self._with_states, [int(a.state == state) for a in arrays for state in STATES.values()])
        out.many(DISKS, self._with_disks, disks)
        out.many(DISKS_REQUIRED, self._devices, [a.disks_required for a in arrays])
        out.many(BLOCKS, self._devices, [a.blocks for a in arrays])
        out.many(BLOCKS_SYNCED, self._devices, [a.blocks_synced for a in arrays])


def _write_disks(arrays: Sequence[MdDisks], out: Writer) -> None:
    disks = {(array.device,): array.disks for array in arrays if array.disks is not None}
    degraded = {(array.device,): array.degraded_disks for array in arrays if array.degraded_disks is not None}
    out.many(RAID_DISKS, tuple(disks), list(disks.values()))
    out.many(DEGRADED, tuple(degraded), list(degraded.values()))
