"""The kernel's queue of datagrams that have come to a socket and were not read yet: what it holds, and what it dropped.

A busy moment of the event loop must not cost datagrams: every one that is dropped is sent again a round trip later, and the
sender takes the line for a bad one.

References: socket(7) (SO_RCVBUF), udp(7), linux/sock_diag.h (SO_MEMINFO).
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path

WANTED_BYTES = 4 << 20
"""Of full datagrams: a third of a second of a line of 100 Mbit/s."""
_LIMIT = Path("/proc/sys/net/core/rmem_max")
_SO_MEMINFO = 55
"""Of Linux; not among the names of Python's socket module."""
_MEMINFO = struct.Struct("9I")
_DROPS = 8
"""SK_MEMINFO_DROPS: which of them counts what was dropped, since the socket was made."""


def allowed_bytes() -> int:
    """The longest queue that this machine gives a socket."""
    return int(_LIMIT.read_text())


def widen(bound: socket.socket) -> int:
    """The queue of a UDP socket is as long as is wanted, or as the kernel allows; the bytes that it granted."""
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WANTED_BYTES)
    return granted_bytes(bound)


def granted_bytes(bound: socket.socket) -> int:
    """What may wait in the queue. The kernel says twice that, for its own bookkeeping is counted in it."""
    return bound.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2


def dropped(bound: socket.socket) -> int:
    """Datagrams that came to a full queue, since the socket was made."""
    told = bound.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
    return int(_MEMINFO.unpack(told)[_DROPS])


def shortage(allowed: int) -> str | None:
    """What whoever runs the machine should know where it allows, or has granted, fewer bytes than are wanted."""
    if allowed >= WANTED_BYTES:
        return None
    return (
        f"datagrams of HTTP/3 may wait in {allowed} bytes only and are dropped in busy moments: "
        f"set net.core.rmem_max to {WANTED_BYTES} (sysctl)"
    )
