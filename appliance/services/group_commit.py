"""What waits while others are made durable is made durable together: one flush of the disk serves all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class GroupCommit(Generic[Item, Outcome]):
    """Takes items any number at once and works on all that wait, one group after another. Lives in one event loop."""

    def __init__(self, work: Callable[[Sequence[Item]], Awaitable[Sequence[Outcome | Exception]]], most: int) -> None:
        """``work`` gets at most ``most`` items and says of each what became of it, in the same order."""
        self._work = work
        self._most = most
        self._waiting: list[tuple[Item, asyncio.Future[Outcome]]] = []
        self._working: asyncio.Task[None] | None = None

    async def outcome_of(self, item: Item) -> Outcome:
        """What became of the item, or what was raised for it. Also when cancelled it returns after the item was worked on."""
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, outcome))
        if self._working is None:
            self._working = asyncio.create_task(self._work_off(), name="group commit")
        try:
            return await asyncio.shield(outcome)
        except asyncio.CancelledError:
            await asyncio.wait({outcome})
            raise

    async def _work_off(self) -> None:
        group: list[tuple[Item, asyncio.Future[Outcome]]] = []
        try:
            while self._waiting:
                group, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                _answer(group, await self._outcomes([item for item, _ in group]))
        finally:
            self._working = None
            for _, outcome in (*group, *self._waiting):  # none but when this task is cancelled
                outcome.cancel()

    async def _outcomes(self, items: Sequence[Item]) -> Sequence[Outcome | Exception]:
        try:
            return await self._work(items)
        except Exception as error:  # the edge of the task: those who wait get it
            return [error] * len(items)


def _answer(group: Sequence[tuple[Item, asyncio.Future[Outcome]]], outcomes: Sequence[Outcome | Exception]) -> None:
    for (_, waiting), outcome in zip(group, outcomes, strict=True):
        if isinstance(outcome, Exception):
            waiting.set_exception(outcome)
            waiting.exception()  # it is looked at, also where the one who waited was cancelled
        else:
            waiting.set_result(outcome)
