"""What the aggregator shows: lists of nodes and events as JSON documents, targets for Prometheus, and a plain page."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any, Final
from urllib.parse import quote

from agent import __version__
from agent.aggregator.known import Declared, Session, Tally
from agent.aggregator.views import View, Views
from agent.wire.events import Told

JOB: Final = "headroom"
_STYLE: Final = """body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:3em auto;padding:0 1em}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.2em .8em .2em 0;border-bottom:1px solid #ddd}"""


def metrics_path(view: View) -> str:
    return f"/clusters/{quote(view.node.cluster, safe='')}/nodes/{quote(view.node.name, safe='')}/metrics"


def in_order(views: Views, cluster: str | None = None) -> list[View]:
    """By cluster and name; of one cluster only, where that is asked for."""
    found = (view for view in views.by_id.values() if cluster in (None, view.node.cluster))
    return sorted(found, key=lambda view: (view.node.cluster, view.node.name))


def targets(views: Views, cluster: str | None, address: str, scheme: str, now_ms: int) -> list[dict[str, Any]]:
    """For http_sd: every known node that has not gone. ``address`` is how the asker reached us."""
    return [
        {
            "targets": [address],
            "labels": {
                "__scheme__": scheme,
                "__metrics_path__": metrics_path(view),
                "job": JOB,
                "instance": view.node.name,
                "node": view.node.name,
                "cluster": view.node.cluster,
            },
        }
        for view in in_order(views, cluster)
        if view.state(now_ms) != "gone"
    ]


def nodes(views: Views, cluster: str | None, now_ms: int) -> dict[str, Any]:
    return {"nodes": [_node(view, now_ms) for view in in_order(views, cluster)]}


def _node(view: View, now_ms: int) -> dict[str, Any]:
    node, worst = view.node, view.worst_margin()
    seen = node.seen_unix_ms
    return {
        "cluster": node.cluster,
        "name": node.name,
        "state": view.state(now_ms),
        "last_record_unix_s": seen / 1000 if seen else None,
        "age_s": max(0, now_ms - seen) / 1000 if seen else None,
        "interval_s": node.interval_ms / 1000,
        "agent_version": node.agent_version,
        "streams": view.streams,
        "margin": {"signal": worst[0], "ratio": worst[1]} if worst else None,
        "metrics": metrics_path(view),
        "sessions": [_session(*one, view.gaps) for one in sorted(view.tallies.items())],
        "vanished": [_gap(one) for one in view.gaps if one.gap.first_number not in _numbers(view, one)],
    }


def _numbers(view: View, declared: Declared) -> set[int]:
    return {session.number for session in view.tallies if session.place == declared.gap.place}


def _session(session: Session, tally: Tally, gaps: Iterable[Declared]) -> dict[str, Any]:
    mine = (one for one in gaps if (one.gap.place, one.gap.first_number) == session)
    return {
        "spool_id": session.place.spool_id.hex(),
        "lane": session.place.lane,
        "number": session.number,
        "sid": tally.sid.hex(),
        "committed": tally.committed,
        "records": tally.records,
        "duplicates": tally.duplicates,
        "refused": tally.refused,
        "gaps": [_gap(one) for one in mine],
    }


def _gap(declared: Declared) -> dict[str, Any]:
    """``last`` and ``records`` are null where nobody knows."""
    gap = declared.gap
    return {
        "lane": gap.place.lane,
        "number": gap.first_number,
        "last_number": gap.last_number,
        "first": gap.first,
        "last": gap.last,
        "records": gap.records,
        "reason": gap.reason,
        "known_unix_s": declared.unix_s,
    }


def events(views: Views, cluster: str | None, name: str | None, most: int) -> dict[str, Any]:
    chosen = {view.node.id: view for view in in_order(views, cluster) if name in (None, view.node.name)}
    return {"events": [_event(chosen[id], told) for id, told in views.events.newest(set(chosen), most)]}


def _event(view: View, told: Told) -> dict[str, Any]:
    return {
        "cluster": view.node.cluster,
        "node": view.node.name,
        "time_unix_s": told.unix_ms / 1000,
        "type": told.type,
        "state": told.state,
        "subject": told.subject,
        "detail": told.detail,
        "observed": _finite(told.observed),
        "threshold": _finite(told.threshold),
        "unit": told.unit,
        "attributes": dict(told.attributes),
    }


def _finite(value: float | None) -> float | None:
    """JSON has no NaN."""
    return value if value is not None and value - value == 0 else None


def page(views: Views, now_ms: int) -> str:
    rows = "".join(_row(view, now_ms) for view in in_order(views))
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Headroom</title><style>{_STYLE}</style>
<h1>Headroom {__version__}</h1><p>Nodes: {len(views.by_id)}. <a href="/api/v1/nodes">nodes</a>
<a href="/api/v1/events">events</a> <a href="/sd">targets</a> <a href="/metrics">this process</a></p>
<table><tr><th>cluster<th>node<th>state<th>last record<th>nearest to eviction<th></tr>
{rows}</table></html>
"""


def _row(view: View, now_ms: int) -> str:
    node, worst = view.node, view.worst_margin()
    age = f"{max(0, now_ms - node.seen_unix_ms) / 1000:.0f} s ago" if node.seen_unix_ms else "none"
    margin = f"{escape(worst[0])} {worst[1]:+.1%}" if worst else ""
    link = f'<a href="{escape(metrics_path(view))}">metrics</a>'
    cells = (escape(node.cluster), escape(node.name), view.state(now_ms), age, margin, link)
    return "<tr>" + "".join(f"<td>{cell}" for cell in cells) + "</tr>\n"
