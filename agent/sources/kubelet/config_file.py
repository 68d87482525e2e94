"""The kubelet's own configuration file, and the files dropped in beside it: what it starts with, before its flags.

Source: the file of --config and the directory of --config-dir, below the host's root. Since: 1.10, and 1.28 for the
directory. Shape: KubeletConfiguration as YAML or JSON. Units: as ``configz``. Errors: Malformed, and those of ``Root``.
Cost: 1 ms, and at the first YAML 3 MiB for its parser. A kubelet reads them only when it starts.

The facts are those of cmd/kubelet/app/server.go (loadConfigFile, mergeKubeletConfigurations). Defaults of evictionHard
come before what is dropped in, so that a dropped-in signal leaves the others as they are, while one in the file itself
switches them off; mergeDefaultEvictionSettings counts in the file only; and a kubelet without --config has none.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

from agent.errors import Malformed, SourceError, from_oserror
from agent.sources.kubelet.configz import Configz, read_fields
from agent.sources.kubelet.document import Json, field_bool, field_object, parse_document
from agent.sources.kubelet.timestamp import field_duration
from agent.sources.root import Root

DEFAULT_EVICTION_HARD: Final = {
    "memory.available": "100Mi",
    "nodefs.available": "10%",
    "nodefs.inodesFree": "5%",
    "imagefs.available": "15%",
    "imagefs.inodesFree": "5%",
}
DEFAULT_ENFORCED: Final = ("pods",)
DEFAULT_TRANSITION: Final = "5m0s"
KIND: Final = ("kubelet.config.k8s.io/v1beta1", "KubeletConfiguration")
FILE_BYTES_MAX: Final = 1 << 20
FILES_MAX: Final = 100
DEPTH_MAX: Final = 8  # of directories below --config-dir


def read_config_file(rootfs: Root, path: str, directory: str = "") -> Configz:
    """``path`` and ``directory`` are the values of --config and --config-dir; an empty one is as if not given."""
    base = _read(rootfs, path) if path else None
    if not directory:
        return parse_config_file(base)
    names = list(islice(_dropped_in(rootfs, rootfs.resolve(directory)), FILES_MAX + 1))
    if len(names) > FILES_MAX:
        raise SourceError(rootfs / directory, f"more than {FILES_MAX} files")
    return parse_config_file(base, [_read(rootfs, name) for name in names])


def parse_config_file(base: bytes | None, dropped_in: Sequence[bytes] | None = None) -> Configz:
    """What the kubelet makes of its file and of what is dropped in, in this order; None where no flag names any."""
    try:
        return read_fields(_merged(base, dropped_in))
    except RecursionError:
        raise Malformed("kubelet config", "nested too deep") from None


def _merged(base: bytes | None, dropped_in: Sequence[bytes] | None) -> Json:
    config = {} if base is None else _with_default_thresholds(parse_config(base))
    if dropped_in is not None:
        if not config.get("enforceNodeAllocatable"):
            config.pop("enforceNodeAllocatable", None)  # an empty list is lost on the way into the merge
        for buf in dropped_in:
            config = merge_patch(config, parse_config(buf))
    if config.get("enforceNodeAllocatable") is None:
        config["enforceNodeAllocatable"] = list(DEFAULT_ENFORCED)
    if not field_duration(config, "evictionPressureTransitionPeriod"):
        config["evictionPressureTransitionPeriod"] = DEFAULT_TRANSITION
    return config


def parse_config(buf: bytes) -> Json:
    """One KubeletConfiguration. Raises Malformed for any other bytes."""
    if len(buf) > FILE_BYTES_MAX:
        raise Malformed("kubelet config", f"larger than {FILE_BYTES_MAX} bytes")
    config = _document(buf)
    if (config.get("apiVersion"), config.get("kind")) != KIND:
        raise Malformed("kubelet config", f"a {KIND[1]} of {KIND[0]} expected")
    return config


def _document(buf: bytes) -> Json:
    """JSON is YAML too, but needs no parser of that."""
    if buf.lstrip().startswith(b"{"):
        try:
            return parse_document(buf, "kubelet config")
        except Malformed:
            pass  # YAML in braces
    from agent.sources.kubelet.yaml_document import parse_yaml  # only where there is such a file

    return parse_yaml(buf, "kubelet config")


def _with_default_thresholds(config: Json) -> Json:
    """Any evictionHard, even an empty one, is all that there is, unless it asks to be merged with the defaults."""
    if config.get("evictionHard") is None:
        return {**config, "evictionHard": dict(DEFAULT_EVICTION_HARD)}
    if field_bool(config, "mergeDefaultEvictionSettings"):
        return {**config, "evictionHard": {**DEFAULT_EVICTION_HARD, **field_object(config, "evictionHard")}}
    return dict(config)


def merge_patch(target: Any, patch: Json) -> Json:
    """RFC 7396: objects are merged, null removes, anything else replaces."""
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            merged[name] = merge_patch(merged.get(name), value)
        else:
            merged[name] = value
    return merged


def _dropped_in(rootfs: Root, directory: str, depth: int = 0) -> Iterator[str]:
    """Every ``*.conf`` below it, in the order of their names; directories too are in that order, links not followed."""
    if depth > DEPTH_MAX:
        raise SourceError(rootfs / directory, "too deep")
    for name in rootfs.list(directory):
        path = f"{directory}/{name}"
        if stat.S_ISDIR(_status(rootfs / path, follow=False).st_mode):
            yield from _dropped_in(rootfs, path, depth + 1)
        elif name.endswith(".conf"):
            yield path


def _read(rootfs: Root, path: str) -> bytes:
    """A regular file of a bounded size; its links are followed inside the host's root."""
    found = rootfs.resolve(path)
    status = _status(rootfs / found, follow=True)
    if not stat.S_ISREG(status.st_mode) or status.st_size > FILE_BYTES_MAX:
        raise Malformed(rootfs / path, f"a file of at most {FILE_BYTES_MAX} bytes expected")
    return rootfs.read_once(found)


def _status(path: str, follow: bool) -> os.stat_result:
    try:
        return os.stat(path, follow_symlinks=follow)
    except OSError as error:
        raise from_oserror(error, path) from None
