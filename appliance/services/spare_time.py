"""What a render process makes ready when nobody waits for anything: neighbours of what is looked at, and what is new.

Neighbours go first, those of the viewer who moved last before all others; where a viewer turns round or goes elsewhere, what was
ahead of him is dropped. What came into the store waits until nobody has wanted anything for a moment.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

_MOST_AHEAD = 16
"""Neighbours that wait for one viewer; the oldest of more are behind him by now."""
_QUIET_S = 0.25
"""Somebody who scrolls asks more often."""


class SpareTime(Generic[T]):
    """For any number of threads on either side. ``is_occupied`` tells of work besides what ``begin`` and ``end`` count."""

    def __init__(self, is_occupied: Callable[[], bool] = lambda: False) -> None:
        self._is_occupied = is_occupied
        self._wanted = 0
        self._last_wanted_at = 0.0
        self._ahead: OrderedDict[str, deque[T]] = OrderedDict()
        self._new: deque[T] = deque()
        self._changed = threading.Condition()

    def begin(self) -> None:
        """Somebody waits for something."""
        with self._changed:
            self._wanted += 1

    def end(self) -> None:
        """He has it, or has gone."""
        with self._changed:
            self._wanted -= 1
            self._last_wanted_at = time.monotonic()
            self._changed.notify_all()

    def touch(self) -> None:
        """Somebody wanted something just now, of which the end is not known here."""
        with self._changed:
            self._last_wanted_at = time.monotonic()

    @property
    def is_busy(self) -> bool:
        """Whether somebody waits."""
        return self._wanted > 0

    @property
    def waiting(self) -> int:
        """How much waits to be made ready."""
        with self._changed:
            return len(self._new) + sum(map(len, self._ahead.values()))

    def put_ahead(self, viewer: str, work: Sequence[T], *, anew: bool) -> None:
        """What ``viewer`` is about to want, the next first; ``anew``: and nothing of what was put for him before."""
        with self._changed:
            waiting = self._ahead.pop(viewer, deque[T](maxlen=_MOST_AHEAD))
            if anew:
                waiting.clear()
            waiting.extend(work)
            if waiting:
                self._ahead[viewer] = waiting
            self._changed.notify_all()

    def put_new(self, work: T) -> None:
        """To be done after everything else."""
        with self._changed:
            self._new.append(work)
            self._changed.notify_all()

    def take(self) -> T:
        """The next work, as soon as there is time for it."""
        with self._changed:
            while True:
                if self._ahead and not self._wanted:
                    return self._neighbour()
                if self._new and self._is_quiet():
                    return self._new.popleft()
                # The one who waits for quiet is not told when it has come.
                self._changed.wait(_QUIET_S if self._new else None)

    def _neighbour(self) -> T:
        viewer, waiting = self._ahead.popitem()
        work = waiting.popleft()
        if waiting:
            self._ahead[viewer] = waiting
        return work

    def _is_quiet(self) -> bool:
        return not self._wanted and time.monotonic() - self._last_wanted_at >= _QUIET_S and not self._is_occupied()
