"""What was used last, within a budget of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class ByteCache(Generic[K, V]):
    """Keeps values until their bytes exceed the budget, then forgets those that were not used for longest.

    For any thread. A value larger than the whole budget is not kept.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._size_bytes = 0

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    def get(self, key: K) -> V | None:
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
            return found[0]

    def put(self, key: K, value: V, size_bytes: int) -> None:
        with self._lock:
            _, before = self._kept.pop(key, (None, 0))
            self._size_bytes -= before
            if size_bytes > self._budget_bytes:
                return
            self._kept[key] = (value, size_bytes)
            self._size_bytes += size_bytes
            while self._size_bytes > self._budget_bytes:
                _, (_, freed) = self._kept.popitem(last=False)
                self._size_bytes -= freed
