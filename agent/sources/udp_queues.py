"""``/proc/net/udp`` and ``udp6``: how much memory waits in the queues of all UDP sockets.

Source: <procfs>/1/net/{udp,udp6}, proc_net(5). Since: 2.0; udp6 with IPv6 only. Units: bytes, hexadecimal.
Errors: Malformed. Cost: 10 us and, per socket, 0.3 us where its queues are empty and 1 us where they are not.
"""

from __future__ import annotations

from io import BytesIO
from typing import Final, NamedTuple

from agent.errors import Malformed
from agent.sources.root import Root

# tx_queue:rx_queue of a socket with nothing queued. No other column is 8:8 digits between spaces.
_EMPTY: Final = b" 00000000:00000000 "
_QUEUES: Final = 4


class UdpQueues(NamedTuple):
    """Sums over the sockets."""

    transmit_bytes: int
    receive_bytes: int


def parse_udp_queues(buf: bytes) -> UdpQueues:
    """Shape: a line of titles, then ``  53: 0100007F:0035 00000000:0000 07 00000000:00000300 ...`` per socket."""
    if b"tx_queue rx_queue" not in buf[: buf.find(b"\n") + 1]:
        raise Malformed("net/udp", "a line of titles expected", buf)
    if buf[-1:] != b"\n":
        raise Malformed("net/udp", "ends within a line")
    transmit = receive = 0
    if buf.count(_EMPTY) < buf.count(b"\n") - 1:
        lines = BytesIO(buf)  # hands out one line at a time: a busy resolver has tens of thousands
        next(lines)
        for line in lines:
            if _EMPTY not in line:
                queued = _parse_line(line)
                transmit += queued.transmit_bytes
                receive += queued.receive_bytes
    return UdpQueues(transmit, receive)


def _parse_line(line: bytes) -> UdpQueues:
    try:
        transmit, receive = line.split(None, _QUEUES + 1)[_QUEUES].split(b":")
        return UdpQueues(int(transmit, 16), int(receive, 16))
    except (ValueError, IndexError):
        raise Malformed("net/udp", "tx_queue:rx_queue expected in the fifth column", line) from None


def read_udp_queues(procfs: Root, path: str) -> UdpQueues:
    """``path`` is the node's net/udp or net/udp6 below ``procfs``."""
    return parse_udp_queues(procfs.read(path))
