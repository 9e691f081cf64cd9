"""Where decoded frames lie: in memory that frames which are gone have left.

Memory that the kernel hands out anew is entered page by page when it is first written, and emptied: of half a megabyte that is
0.2 to 0.3 ms, as long as reading a slice into it takes. So the room of a frame that nobody uses any more is kept for the next
one of its size, as long as all of it together stays within the budget. What is in it then is what was in it before, as with
any memory that NumPy gives: whoever takes a room fills the whole of it before anybody else sees it.

Huge pages were tried instead, and cost five times as much on a virtual machine whose host backs its memory by small ones.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections import OrderedDict, deque

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


class FrameMemory:
    """For any thread."""

    def __init__(self, budget_bytes: int) -> None:
        """No room is kept that would make all of it, in use or not, more than ``budget_bytes``."""
        self._budget_bytes = budget_bytes
        self._lock = threading.Lock()
        self._left: deque[Bytes] = deque()
        """What is no longer used. Whoever drops the last view of a room may hold the lock at that moment: this needs none."""
        self._free: OrderedDict[int, list[Bytes]] = OrderedDict()
        """Rooms of each size, that which was used last at the end."""
        self._free_bytes = self._used_bytes = 0

    @property
    def size_bytes(self) -> int:
        """Of all rooms, those that nobody has included."""
        with self._lock:
            self._tidy()
            return self._used_bytes + self._free_bytes

    def room(self, size_bytes: int) -> Bytes:
        """So many bytes that are nobody else's, until neither this array nor a view of it is left. Raises MemoryError.

        They are not empty.
        """
        with self._lock:
            self._tidy()
            memory = self._taken(size_bytes)
            self._used_bytes += size_bytes
            self._make_room()
        # Every view of the array refers to this, whatever NumPy makes of chains of views.
        held = (ctypes.c_uint8 * size_bytes).from_buffer(memory)  # type: ignore[arg-type]
        weakref.finalize(held, self._left.append, memory).atexit = False
        return np.frombuffer(memoryview(held), np.uint8)

    def release(self) -> None:
        """No room is kept that nobody has."""
        with self._lock:
            self._tidy()
            self._free.clear()
            self._free_bytes = 0

    def _tidy(self) -> None:
        while self._left:
            memory = self._left.popleft()
            self._used_bytes -= memory.nbytes
            self._free_bytes += memory.nbytes
            self._free.setdefault(memory.nbytes, []).append(memory)
            self._free.move_to_end(memory.nbytes)
        self._make_room()

    def _make_room(self) -> None:
        """Rooms that nobody has are given back until all is within the budget, those of a size that is out of use first."""
        while self._free and self._used_bytes + self._free_bytes > self._budget_bytes:
            self._taken(next(iter(self._free)))

    def _taken(self, size_bytes: int) -> Bytes:
        """A room that nobody has, or else a new one."""
        free = self._free.get(size_bytes)
        if free is None:
            return np.empty(size_bytes, np.uint8)
        memory = free.pop()
        self._free_bytes -= size_bytes
        if not free:
            del self._free[size_bytes]
        return memory
