"""``python -m agent.compare.puller``: scrapes what it is told to, at fixed times, and writes a line for each try.

What a Prometheus does that matters to what travels: one connection that is kept, gzip, and an attempt each interval,
whatever became of the one before. It stores nothing.
Threads: one for each node.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Final

from agent.compare.asking import Asker, AskError, batch_of, count_samples

STDOUT: Final = 1


def scrape(node: str, address: str, interval_s: float, first_s: float) -> None:
    """For ever. Each line is one write, so that lines do not mix."""
    host, _, port = address.rpartition(":")
    asker, due_s = Asker(node, (host, int(port)), interval_s), first_s
    while True:
        time.sleep(max(0.0, due_s - time.time()))
        batch_s, samples, at_s = None, 0, time.time()
        try:
            page = asker.get("/metrics")
            batch_s, samples = batch_of(page), count_samples(page)
        except AskError:
            pass  # the line says that nothing came
        os.write(STDOUT, json.dumps([node, round(at_s, 3), batch_s, samples]).encode() + b"\n")
        due_s += max(1, int((time.time() - due_s) / interval_s) + 1) * interval_s


def main() -> None:
    interval_s, targets = json.loads(sys.argv[1])
    now_s = time.time()
    for number, (node, address) in enumerate(targets.items()):
        first_s = now_s + interval_s * number / len(targets)
        threading.Thread(target=scrape, args=(node, address, interval_s, first_s), daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
