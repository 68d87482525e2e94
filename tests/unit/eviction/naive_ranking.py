"""The order of eviction once more, naively: comparisons of two pods at a time, on the kubelet's documents as they are.

It shares nothing with ``agent.eviction.ranking``: not the parsers, not the arithmetic, not the sort. Quantities in the
documents must be plain numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Compare = Callable[[Json, Json], int]


def naive_order(signal: str, items: list[Json], summary: Json, layout: str) -> list[tuple[str, str]]:
    """Every pod that would go, by (namespace, name). Repeated selection of the one that none goes before."""
    told = {one["podRef"]["uid"]: one for one in summary["pods"]}
    comparisons = naive_comparisons(signal, told, layout)
    left = [item for item in items if item["status"]["phase"] not in ("Failed", "Succeeded") and not critical(item)]
    order = []
    while left:
        first = left[0]
        for other in left[1:]:
            if goes_before(other, first, comparisons):
                first = other
        left.remove(first)
        order.append((first["metadata"]["namespace"], first["metadata"]["name"]))
    return order


def goes_before(one: Json, other: Json, comparisons: list[Compare]) -> bool:
    for compare in comparisons:
        verdict = compare(one, other)
        if verdict != 0:
            return verdict < 0
    # the kubelet leaves equals to chance, we to their names
    return [one["metadata"][k] for k in ("namespace", "name")] < [other["metadata"][k] for k in ("namespace", "name")]


def critical(item: Json) -> bool:
    static = item["metadata"].get("annotations", {}).get("kubernetes.io/config.source", "api") != "api"
    return static or item["spec"].get("priority", 0) >= 2_000_000_000


def naive_comparisons(signal: str, told: dict[str, Json], layout: str) -> list[Compare]:
    def priority(one: Json, other: Json) -> int:
        return sign(one["spec"].get("priority", 0) - other["spec"].get("priority", 0))

    def with_statistics(compare: Callable[[Json, Json, Json, Json], int]) -> Compare:
        def comparison(one: Json, other: Json) -> int:
            mine, theirs = told.get(one["metadata"]["uid"]), told.get(other["metadata"]["uid"])
            if mine is None or theirs is None:
                return true_first(mine is None, theirs is None)
            return compare(one, mine, other, theirs)

        return comparison

    if signal == "pid.available":

        def processes(one: Json, mine: Json, other: Json, theirs: Json) -> int:
            return sign(count_of(theirs) - count_of(mine))

        return [priority, with_statistics(processes)]

    memory = signal in ("memory.available", "allocatableMemory.available")
    inodes = signal.endswith(".inodesFree")
    resource = "memory" if memory else "ephemeral-storage"

    def usage(item: Json, stats: Json) -> int:
        return working_set(stats) if memory else disk_usage(item, stats, signal, layout, inodes)

    def exceeds(item: Json, stats: Json) -> bool:
        return usage(item, stats) > (0 if inodes else request(item, resource))

    def over_request(one: Json, mine: Json, other: Json, theirs: Json) -> int:
        return true_first(exceeds(one, mine), exceeds(other, theirs))

    def beyond(one: Json, mine: Json, other: Json, theirs: Json) -> int:
        # of inodes too the request that is subtracted is that of bytes
        return sign((usage(other, theirs) - request(other, resource)) - (usage(one, mine) - request(one, resource)))

    return [with_statistics(over_request), priority, with_statistics(beyond)]


def sign(number: float) -> int:
    return (number > 0) - (number < 0)


def true_first(one: bool, other: bool) -> int:
    return int(other) - int(one)


def working_set(stats: Json) -> int:
    value: int = stats.get("memory", {}).get("workingSetBytes", 0)
    return value


def count_of(stats: Json) -> int:
    value: int = stats.get("process_stats", {}).get("process_count", 0)
    return value


def disk_usage(item: Json, stats: Json, signal: str, layout: str, inodes: bool) -> int:
    key = "inodesUsed" if inodes else "usedBytes"
    layers = sum(one.get("rootfs", {}).get(key, 0) for one in stats["containers"])
    logs = sum(one.get("logs", {}).get(key, 0) for one in stats["containers"])
    volumes = 0
    for volume in item["spec"].get("volumes", []):
        on_disk = "emptyDir" in volume and volume["emptyDir"].get("medium", "") == ""
        if on_disk or "configMap" in volume or "gitRepo" in volume or "hostPath" in volume:
            for one in stats.get("volume", []):
                if one["name"] == volume["name"]:
                    volumes += one.get(key, 0)
    return {
        ("single", "nodefs"): layers + logs + volumes,
        ("single", "imagefs"): layers + logs + volumes,
        ("single", "containerfs"): layers + logs + volumes,
        ("dedicated", "nodefs"): logs + volumes,
        ("dedicated", "imagefs"): layers,
        ("dedicated", "containerfs"): layers,
        ("split", "nodefs"): logs + volumes + layers,
        ("split", "imagefs"): 0,
        ("split", "containerfs"): logs + volumes + layers,
    }[layout, signal.split(".")[0]]


def request(item: Json, resource: str) -> int:
    spec = item["spec"]
    whole = spec.get("resources", {})
    if set(whole.get("requests", {})) | set(whole.get("limits", {})):  # the documents have only cpu and memory here
        total = int(whole.get("requests", {}).get(resource, "0"))
    else:
        total = most_at_once(spec, resource)
    return total + int(spec.get("overhead", {}).get(resource, "0")) if total else 0


def most_at_once(spec: Json, resource: str) -> int:
    """The most that is asked for at any moment in the life of the pod."""

    def asked(container: Json) -> int:
        return int(container.get("resources", {}).get("requests", {}).get(resource, "0"))

    starting = spec.get("initContainers", [])
    moments = []
    for place, container in enumerate(starting):
        before = [one for one in starting[:place] if one.get("restartPolicy") == "Always"]
        moments.append(sum(map(asked, before)) + asked(container))
    sidecars = [one for one in starting if one.get("restartPolicy") == "Always"]
    moments.append(sum(map(asked, sidecars)) + sum(map(asked, spec["containers"])))
    return max(moments)
