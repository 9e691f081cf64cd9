"""What was used last, within a budget of bytes."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class ByteCache(Generic[K, V]):
    """Keeps values until their bytes exceed the budget, then forgets those that were not used for longest.

    For any thread. A value larger than the whole budget is not kept.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._kept: OrderedDict[K, tuple[V, int, float]] = OrderedDict()
        """Value, size in bytes, when it was used last: in the order of that."""
        self._lock = threading.Lock()
        self._size_bytes = 0

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    def get(self, key: K) -> V | None:
        with self._lock:
            found = self._kept.pop(key, None)
            if found is None:
                return None
            value, size_bytes, _ = found
            self._kept[key] = value, size_bytes, time.monotonic()
            return value

    def put(self, key: K, value: V, size_bytes: int) -> None:
        with self._lock:
            _, before, _ = self._kept.pop(key, (None, 0, 0))
            self._size_bytes -= before
            if size_bytes > self._budget_bytes:
                return
            self._kept[key] = value, size_bytes, time.monotonic()
            self._size_bytes += size_bytes
            while self._size_bytes > self._budget_bytes:
                _, (_, freed, _) = self._kept.popitem(last=False)
                self._size_bytes -= freed

    def forget(self, is_doomed: Callable[[K], bool]) -> None:
        """Values of such keys are kept no more."""
        with self._lock:
            for key in [key for key in self._kept if is_doomed(key)]:
                self._size_bytes -= self._kept.pop(key)[1]

    def forget_unused(self, for_s: float) -> None:
        """What was not used for so long is kept no more."""
        with self._lock:
            before = time.monotonic() - for_s
            while self._kept:
                key, (_, size_bytes, used_at) = next(iter(self._kept.items()))
                if used_at >= before:
                    return
                del self._kept[key]
                self._size_bytes -= size_bytes
