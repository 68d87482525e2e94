"""The settings of ``headroom compare``, besides those of its log."""

from __future__ import annotations

from typing import Final

from agent.config.setting import Setting

SCENARIOS: Final = ("steady", "outage")
ABOUT: Final = (
    "Compares push with pull on this machine: agents whose every batch is both scraped and streamed, the aggregator,"
    " and a Prometheus. It takes --duration, and before that about ten seconds and three intervals to begin; what it"
    " starts it ends again."
)
COMPARE: Final = (
    Setting("duration", "seconds", 60.0, "How long to measure; the scenarios share it."),
    Setting("nodes", "int", 3, "How many nodes to play; each is three agents, which all read this machine."),
    Setting("interval", "seconds", 1.0, "How often a node is scraped, and pushes. In production rather 10s or 30s."),
    Setting(
        "scenario",
        "list",
        SCENARIOS,
        "steady: nothing happens; outage: nothing gets through for a third of it, by either transport.",
    ),
    Setting("output", "text", "", "Directory for compare.json, with everything that was measured, and compare.txt."),
    Setting("prometheus", "text", "", "The Prometheus that pulls; else the one on PATH, else a plain puller of ours."),
)
