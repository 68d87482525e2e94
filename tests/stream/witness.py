"""What an agent collected, known without its spool: its parts of /metrics, which show the batch that it spooled last.

``--pull.max-age`` of hours lets a scrape share that batch instead of collecting one of its own. A batch is told from
the others by its ``node_time_seconds``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from agent.model import PARTS
from tests.peers.processes import OPENMETRICS, TEXT, Served

SHARING = ("--pull.max-age", "24h")
_TIME = re.compile(r"^node_time_seconds (\S+)$", re.MULTILINE)
_SPOOLED = re.compile(r'^headroom_spool_records_total\{lane="samples"\} (\S+)$', re.MULTILINE)


class Seen(NamedTuple):
    """``texts`` by part. ``before``: how many ticks its process had spooled; None: its spool was not open yet."""

    time: str
    texts: dict[str, bytes]
    before: int | None

    @property
    def samples(self) -> set[str]:
        return samples(b"".join(self.texts.values()).decode())


def samples(text: str) -> set[str]:
    """Series with their values."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert len(set(lines)) == len(lines), "a sample twice"
    return set(lines)


def look(agent: Served, path: str = "/metrics", format: str = TEXT) -> Seen | None:
    """The newest batch; None when another came while we looked."""
    texts = {part: agent.get(f"{path}/{part}", format) for part in PARTS}
    time = _time(texts["node"])
    if time != _time(agent.get(f"{path}/node", format)):
        return None
    spooled = _SPOOLED.search(texts["headroom"].decode())
    return Seen(time, texts, int(float(spooled[1])) if spooled else None)


def look_in_both_formats(agent: Served, path: str = "/metrics") -> Seen | None:
    """The same, each part twice: as text, then as OpenMetrics."""
    one, two = look(agent, path), look(agent, path, OPENMETRICS)
    if one is None or two is None or one.time != two.time:
        return None
    return one._replace(texts={part: one.texts[part] + two.texts[part] for part in PARTS})


def _time(text: bytes) -> str:
    found = _TIME.search(text.decode())
    assert found, text[:500]
    return found[1]
