"""``python -m benchmarks``: every benchmark, as a table and as ``benchmarks/results.json``."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path

from benchmarks import containers, eviction, facts, forecast, node, spool, stream, whole, wire
from benchmarks.node import Row

RESULTS = Path(__file__).parent / "results.json"


def main() -> int:
    found, rows = facts.facts(), node.rows()
    rows += [*containers.rows(), *whole.rows(), *eviction.rows(), *spool.rows(), *stream.rows()]
    sizes = wire.rows()
    replayed, badly = forecast.report()
    print(f"\n{machine()}\n")
    print(table(rows))
    print(f"\n{wire.table(sizes)}")
    print(f"\n{replayed}")
    print("\n| what the house is built on | |\n|---|---:|")
    print("\n".join(f"| {fact.what} | {fact.figure:.1f} {fact.unit} |" for fact in found))
    results = {"machine": machine(), "rows": [r._asdict() for r in rows], "facts": [f._asdict() for f in found]}
    results["wire"] = [size._asdict() for size in sizes]
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    missed = [*(row.what for row in (*rows, *sizes) if not row.met), *badly]
    for what in missed:
        print(f"goal missed: {what}", file=sys.stderr)
    return 1 if missed else 0


def machine() -> str:
    """The machine in one line, for whoever reads the figures elsewhere."""
    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in cpus if line.startswith("model name")), platform.machine())
    memory = int(Path("/proc/meminfo").read_text().split()[1]) >> 20
    kernel = platform.release().partition("-")[0]
    return f"{os.cpu_count()} x {model}, {memory} GiB, Linux {kernel}, Python {platform.python_version()}"


def table(rows: list[Row]) -> str:
    """GitHub's table format, so that the README can quote it as it is."""
    head = ["| | Headroom | node_exporter | ratio | goal |", "|---|---:|---:|---:|---:|"]
    return "\n".join((*head, *map(_line, rows)))


def _line(row: Row) -> str:
    return f"| {row.what} | {row.ours:.2f} {row.unit} | {row.peer:.2f} {row.unit} | {row.ratio:.2f} | {row.goal} |"


if __name__ == "__main__":
    sys.exit(main())
