"""What the aggregator tells about itself, by prometheus_client's registry."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector

from agent import __version__
from agent.aggregator.lanes import Gap
from agent.aggregator.views import Views

_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
STATES: Final = ("live", "stale", "gone", "never")


class Telemetry:
    """One registry for each aggregator: nothing is global."""

    def __init__(self, views: Views, store_bytes: Callable[[], int]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they say what ``process_start_time_seconds`` does
        own = self.registry = CollectorRegistry()
        ProcessCollector(registry=own)
        Gauge("headroom_aggregator_build_info", "The version that runs.", ("version",), registry=own).labels(
            __version__
        ).set(1)
        self.streams = Gauge("headroom_aggregator_streams", "Streams that are open.", registry=own)
        self.records = Counter(
            "headroom_aggregator_records",
            "Records that came: taken, duplicate (it was there), or refused (it cannot be read).",
            ("result",),
            registry=own,
        )
        self.received_bytes = Counter(
            "headroom_aggregator_received_bytes", "Bytes of the messages that came.", registry=own
        )
        self.gap_records = Counter(
            "headroom_aggregator_gap_records",
            "Records known to be lost, where their number is.",
            ("reason",),
            registry=own,
        )
        self.gaps = Counter("headroom_aggregator_gaps", "Gaps that became known.", ("reason",), registry=own)
        self.ended = Counter("headroom_aggregator_streams_ended", "Streams that have ended.", ("reason",), registry=own)
        self.denied = Counter(
            "headroom_aggregator_identity_denied",
            "Streams without a credential that is known, or for a node that it does not allow.",
            registry=own,
        )
        self.commits = Histogram(
            "headroom_aggregator_commit_seconds", "One transaction.", buckets=_BOUNDS_S, registry=own
        )
        self.commit_errors = Counter(
            "headroom_aggregator_commit_errors",
            "Transactions that the disk did not take; they are tried again.",
            registry=own,
        )
        store = Gauge("headroom_aggregator_store_bytes", "Bytes of the store's files.", registry=own)
        store.set_function(store_bytes)
        for result in ("taken", "duplicate", "refused"):
            self.records.labels(result)
        own.register(_Nodes(views))

    def lost(self, gap: Gap) -> None:
        self.gaps.labels(gap.reason).inc()
        self.gap_records.labels(gap.reason).inc(gap.records or 0)


class ReviewTelemetry:
    """Only where tokens are reviewed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.reviews = Counter(
            "headroom_aggregator_token_reviews",
            "Reviews of agents' tokens that the API server was asked for: accepted, refused, or failed (no answer).",
            ("result",),
            registry=registry,
        )
        self.seconds = Histogram(
            "headroom_aggregator_token_review_seconds",
            "One review, with its turn.",
            buckets=_BOUNDS_S,
            registry=registry,
        )
        for result in ("accepted", "refused", "failed"):
            self.reviews.labels(result)


class _Nodes:
    """Of each node and of each state, as they are when they are asked for."""

    def __init__(self, views: Views) -> None:
        self._views = views

    def collect(self) -> Iterator[Metric]:
        now_ms = int(time.time() * 1000)
        states = dict.fromkeys(STATES, 0)
        last = GaugeMetricFamily(
            "headroom_aggregator_node_last_record_timestamp_seconds",
            "When the newest tick of a node came, by the aggregator's clock.",
            labels=("cluster", "node"),
        )
        for view in self._views.by_id.values():
            states[view.state(now_ms)] += 1
            if view.node.seen_unix_ms:
                last.add_metric((view.node.cluster, view.node.name), view.node.seen_unix_ms / 1000)
        nodes = GaugeMetricFamily("headroom_aggregator_nodes", "Nodes by state.", labels=("state",))
        for state, count in states.items():
            nodes.add_metric((state,), count)
        yield nodes
        yield last

    def describe(self) -> Iterator[Metric]:
        yield from ()
