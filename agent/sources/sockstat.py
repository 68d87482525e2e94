"""``/proc/net/sockstat`` and ``sockstat6``: how many sockets there are, by protocol and state.

Source: <procfs>/1/net/{sockstat,sockstat6}, proc_net(5). Since: 2.4; sockstat6 with IPv6 only.
Units: sockets; ``mem`` is pages, ``memory`` bytes. Errors: Malformed. Cost: 10 us each.
"""

from __future__ import annotations

from agent.errors import Malformed
from agent.sources.root import Root


def parse_sockstat(buf: bytes) -> dict[str, dict[str, int]]:
    """Shape: ``TCP: inuse 2 orphan 0 tw 0`` per line. Gives the numbers by protocol, then by state.

    ``sockets: used 15`` looks like a protocol and is the sum of all, of every address family.
    """
    *lines, rest = buf.split(b"\n")
    if rest or not lines:
        raise Malformed("net/sockstat", "whole lines expected", rest)
    return dict(map(_parse_line, lines))


def _parse_line(line: bytes) -> tuple[str, dict[str, int]]:
    protocol, *words = line.split() or [b""]
    try:
        name = protocol.decode("ascii")
        states = {state.decode("ascii"): int(value) for state, value in zip(words[::2], words[1::2], strict=True)}
    except ValueError:
        raise Malformed("net/sockstat", "'protocol: state number ...' expected", line) from None
    if not states or not name.endswith(":") or not name[:-1].isidentifier():
        raise Malformed("net/sockstat", "'protocol: state number ...' expected", line)
    return name[:-1], states


def read_sockstat(procfs: Root, path: str) -> dict[str, dict[str, int]]:
    """``path`` is the node's net/sockstat or net/sockstat6 below ``procfs``."""
    return parse_sockstat(procfs.read(path))
