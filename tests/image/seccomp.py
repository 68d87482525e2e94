"""The seccomp profile ``RuntimeDefault``: what Debian's containers-common ships, for the capabilities that are held.

The file is in the form that container engines share, with conditions; an OCI runtime takes it with these resolved.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

PROFILE: Final = Path("/usr/share/containers/seccomp.json")
ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


def runtime_default(capabilities: Sequence[str]) -> dict[str, Any]:
    said = json.loads(PROFILE.read_text())
    wanted = f"SCMP_ARCH_{platform.machine().upper()}"
    native = next(entry for entry in said["archMap"] if entry["architecture"] == wanted)
    return {
        "defaultAction": said["defaultAction"],
        "defaultErrnoRet": said["defaultErrnoRet"],
        "architectures": [native["architecture"], *native["subArchitectures"]],
        "syscalls": [_plain(rule) for rule in said["syscalls"] if _applies(rule, capabilities)],
    }


def _applies(rule: dict[str, Any], capabilities: Sequence[str]) -> bool:
    includes, excludes = rule["includes"], rule["excludes"]
    if unknown := (includes.keys() | excludes.keys()) - {"caps", "arches"}:
        raise AssertionError(f"{PROFILE}: a condition that is not known here: {unknown}")
    architecture = ARCHITECTURES[platform.machine()]
    return (
        set(includes.get("caps", ())) <= set(capabilities)
        and architecture in includes.get("arches", (architecture,))
        and not set(excludes.get("caps", ())) & set(capabilities)
        and architecture not in excludes.get("arches", ())
    )


def _plain(rule: dict[str, Any]) -> dict[str, Any]:
    return {name: rule[name] for name in ("names", "action", "args", "errnoRet") if rule.get(name) is not None}
