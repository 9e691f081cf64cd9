"""Work that waits: viewers in turn, and of each viewer the newest first.

Who scrolls or turns wants what he asked for last; who has asked for much must not keep the others waiting.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """For any number of threads on either side. Nothing is lost: older work comes when the newer is done."""

    def __init__(self) -> None:
        self._stacks: OrderedDict[str, list[T]] = OrderedDict()
        self._condition = threading.Condition()

    def put(self, viewer: str, work: T) -> None:
        with self._condition:
            self._stacks.setdefault(viewer, []).append(work)
            self._condition.notify()

    def take(self) -> T:
        """The next work; waits for it."""
        with self._condition:
            self._condition.wait_for(lambda: self._stacks)
            return self._next()

    def take_now(self) -> T | None:
        """The next work, or None if there is none now."""
        with self._condition:
            return self._next() if self._stacks else None

    def is_empty(self) -> bool:
        return not self._stacks

    def _next(self) -> T:
        viewer, stack = self._stacks.popitem(last=False)
        work = stack.pop()
        if stack:
            self._stacks[viewer] = stack  # behind the other viewers
        return work
