"""The transport below an association: a socket that is read in big pieces, bounded, and woken instead of polled.

pynetdicom looks at its socket and queues a thousand times a second in two threads for each association, and reads 4096
bytes at a time: with several senders the threads spend their time fighting for the interpreter (pynetdicom issue 917).
Here the threads sleep until the peer or the other thread has something for them.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import threading
import time

from pynetdicom.association import Association
from pynetdicom.transport import T_CONNECT, AssociationSocket

_LOOK_EVERY_S = 0.5
"""Timers of the upper layer are looked at so often, if nothing happens."""
_PIECE_BYTES = 1 << 18


class Connection(AssociationSocket):
    """A connected socket as pynetdicom wants it; ``first`` are bytes that were read from it already."""

    def __init__(
        self, assoc: Association, connected: socket.socket, *, first: bytes, idle_s: float, longest_pdu_bytes: int
    ) -> None:
        # Not the constructor of pynetdicom: it would make a socket, or take an outgoing one for one that was accepted.
        self._assoc = assoc
        self._ready = threading.Event()
        self._tls_args = None
        self.select_timeout = _LOOK_EVERY_S
        self.socket = connected
        self._is_connected = True
        self._first = bytearray(first)
        self._idle_s = idle_s
        self._longest_bytes = longest_pdu_bytes
        self._bell: int | None = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._bell_lock = threading.Lock()
        self._poll = select.poll()
        self._poll.register(connected.fileno(), select.POLLIN)
        self._poll.register(self._bell, select.POLLIN)
        connected.settimeout(idle_s)
        self._ready.set()
        if assoc.is_acceptor:
            self.event_queue.put("Evt5")  # transport connection indication

    def connect(self, primitive: T_CONNECT) -> None:
        """It is connected already."""
        primitive.result = "Evt2"
        self.provider_queue.put(primitive)

    def wake(self) -> None:
        """The thread that waits in ``ready`` looks at its queues; from any thread."""
        with self._bell_lock:
            if self._bell is not None:
                os.eventfd_write(self._bell, 1)

    @property
    def ready(self) -> bool:
        """Whether the peer has sent something. Waits a while for that, unless there is other work."""
        if self.socket is None or not self._is_connected:
            return False
        if self._first or (isinstance(self.socket, ssl.SSLSocket) and self.socket.pending()):
            return True
        has_work = not self.event_queue.empty() or not self.provider_queue.empty()
        happened = {descriptor for descriptor, _ in self._poll.poll(0 if has_work else _LOOK_EVERY_S * 1000)}
        with self._bell_lock:
            if self._bell is not None and self._bell in happened:
                os.eventfd_read(self._bell)
        has_come = bool(happened - {self._bell})
        if has_come and isinstance(self.socket, ssl.SSLSocket):
            return self._has_data(self.socket)
        return has_come

    def _has_data(self, connected: ssl.SSLSocket) -> bool:
        """Whether what came was for us: TLS also talks to itself (RFC 8446 §4.6), and to wait for data then would be long."""
        connected.settimeout(0)
        try:
            piece = connected.recv(_PIECE_BYTES)
        except ssl.SSLWantReadError:
            return False
        except OSError:
            return True  # and ``recv`` says what is the matter
        finally:
            connected.settimeout(self._idle_s)
        self._first += piece
        return True  # the end as well, which ``recv`` finds again

    def recv(self, nr_bytes: int) -> bytearray:
        """So many bytes, fewer where the connection ends. Raises OSError beyond the limit or the idle time."""
        if nr_bytes > self._longest_bytes:
            raise OSError("a PDU is longer than the limit")
        assert self.socket is not None
        data = self._first[:nr_bytes]
        del self._first[:nr_bytes]
        deadline = time.monotonic() + self._idle_s
        while len(data) < nr_bytes:
            piece = self.socket.recv(min(_PIECE_BYTES, nr_bytes - len(data)))
            if not piece:
                break
            data += piece
            if time.monotonic() > deadline:
                raise TimeoutError("a PDU takes too long")
        return data

    def send(self, bytestream: bytes) -> None:
        """Nothing, where it was closed: then the upper layer has heard of that already, and may be sending an abort."""
        if self.socket is None:
            return
        try:
            self.socket.sendall(bytestream)
        except OSError:
            self.event_queue.put("Evt17")  # transport connection closed

    def close(self) -> None:
        super().close()
        with self._bell_lock:
            if self._bell is not None:
                os.close(self._bell)
                self._bell = None

    def _shutdown_socket(self) -> None:
        connected = self.socket
        if connected is None:
            return
        try:
            connected.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the peer was quicker
        finally:
            connected.close()
