"""A data set on its way from the thread that reads the network to the one that stores it, never whole in memory.

The reader waits when the other is slow, so the peer does too: the window of TCP is the back-pressure.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator

_MOST_BYTES = 4 * 1024 * 1024
"""Held at once: enough for the disk and the network to work side by side."""


class Interrupted(Exception):
    """The data set does not come to its end: the association is gone, or its peer is silent."""


class Arrival:
    """The pieces of one data set, put by one thread and taken by another."""

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s
        self._changed = threading.Condition()
        self._pieces: deque[bytes] = deque()
        self._held_bytes = 0
        self._has_ended = False
        self._is_interrupted = False

    def put(self, piece: bytes) -> None:
        """Waits while much is held; does nothing once nobody takes it."""
        with self._changed:
            self._changed.wait_for(lambda: self._held_bytes < _MOST_BYTES or self._is_interrupted)
            if piece and not self._is_interrupted:
                self._pieces.append(piece)
                self._held_bytes += len(piece)
                self._changed.notify_all()

    def end(self) -> None:
        """That was all."""
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def interrupt(self) -> None:
        """No more will come, or be taken."""
        with self._changed:
            if not self._has_ended:
                self._is_interrupted = True
            self._changed.notify_all()

    def pieces(self) -> Iterator[bytes]:
        """As they come, to the end. Raises Interrupted."""
        while True:
            piece = self._next()
            if not piece:
                return
            yield piece

    def drain(self) -> None:
        """The rest has come and is forgotten. Raises Interrupted."""
        for _ in self.pieces():
            pass

    def _next(self) -> bytes:
        """What is held, as one piece; nothing at the end."""
        with self._changed:
            something = self._changed.wait_for(
                lambda: self._pieces or self._has_ended or self._is_interrupted, self._idle_s
            )
            if not something or self._is_interrupted:
                self._is_interrupted = True
                self._changed.notify_all()
                raise Interrupted
            piece = b"".join(self._pieces)
            self._pieces.clear()
            self._held_bytes = 0
            self._changed.notify_all()
            return piece
