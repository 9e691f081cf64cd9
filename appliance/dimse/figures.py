"""What a DIMSE process counts, told to the process that prints it: differences, whenever something changed."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import msgspec


class Told(msgspec.Struct, frozen=True):
    """What happened since the last time."""

    associations_open: int
    associations: dict[str, int]
    """How they began, or why not."""
    operations: dict[str, int]
    """``verb status``."""
    instances: dict[str, int]
    """Outcomes of C-STORE, in the words of every other door."""


class Figures:
    """Counts, from any thread. ``tell`` answers as soon as there is something that was not told."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = 0
        self._associations: Counter[str] = Counter()
        self._operations: Counter[str] = Counter()
        self._instances: Counter[str] = Counter()
        self._is_news = True
        self._waiting: Callable[[bytes], None] | None = None

    def tell(self, answer: Callable[[bytes], None]) -> None:
        """``answer`` will be called once; the first time at once."""
        with self._lock:
            self._waiting = answer
            self._answer()

    def association(self, outcome: str, *, opened: int = 0) -> None:
        with self._lock:
            self._associations[outcome] += 1
            self._open += opened
            self._is_news = True
            self._answer()

    def association_ended(self) -> None:
        with self._lock:
            self._open -= 1
            self._is_news = True
            self._answer()

    def operation(self, verb: str, status: str) -> None:
        with self._lock:
            self._operations[f"{verb} {status}"] += 1
            self._is_news = True
            self._answer()

    def instance(self, outcome: str) -> None:
        with self._lock:
            self._instances[outcome] += 1
            self._is_news = True
            self._answer()

    def _answer(self) -> None:
        if self._waiting is None or not self._is_news:
            return
        told = Told(self._open, dict(self._associations), dict(self._operations), dict(self._instances))
        for counter in (self._associations, self._operations, self._instances):
            counter.clear()
        self._is_news = False
        answer, self._waiting = self._waiting, None
        answer(msgspec.msgpack.encode(told))
