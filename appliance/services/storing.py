"""Several instances in one request, each with an outcome of its own: what STOW-RS needs of the one road in.

While one instance is parsed and made durable the next is already received; how many at once is bounded, and so is memory.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from appliance.domain.errors import ApplianceError, Conflict
from appliance.domain.hierarchy import ParsedInstance
from appliance.domain.identifiers import StudyUid
from appliance.services.ingest import Reception, Sender, Stored

log = logging.getLogger(__name__)

_FINISHING_AT_ONCE = 4
"""Instances of one request that are parsed or made durable while the next is received."""


@dataclass(slots=True)
class Outcome:
    """What became of one instance; ``stored`` or ``error`` is set when it is known."""

    parsed: ParsedInstance | None = None
    """None where it could not be parsed."""
    stored: Stored | None = None
    error: ApplianceError | None = None


class Storing:
    """The instances of one request, in order; ``async with`` it, and nothing half received is left at the end."""

    def __init__(self, sender: Sender, study_uid: StudyUid | None = None) -> None:
        """With ``study_uid`` instances of other studies are refused."""
        self._sender = sender
        self._study_uid = study_uid
        self._room = asyncio.Semaphore(_FINISHING_AT_ONCE)
        self._finishing: set[asyncio.Task[None]] = set()
        self._receiving: AsyncExitStack | None = None
        self._reception: Reception | None = None
        self.outcomes: list[Outcome] = []

    async def __aenter__(self) -> Storing:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._receiving:
            await self._receiving.aclose()
        await self._finished()

    async def begin(self, refused: ApplianceError | None = None) -> None:
        """The next instance begins; with ``refused`` its bytes are passed over."""
        self.outcomes.append(Outcome(error=refused))
        if refused:
            return
        await self._room.acquire()
        self._receiving = AsyncExitStack()
        self._receiving.callback(self._room.release)
        try:
            self._reception = await self._receiving.enter_async_context(self._sender.receive())
        except ApplianceError as error:
            await self._refuse(error)

    async def write(self, data: bytes) -> None:
        if self._reception is None:
            return  # it was refused, and the next one begins after its bytes
        try:
            await self._reception.write(data)
        except ApplianceError as error:
            await self._refuse(error)

    def end(self) -> None:
        """The instance is whole; what becomes of it will stand in its outcome."""
        if self._reception is None or self._receiving is None:
            return
        task = asyncio.create_task(self._finish(self.outcomes[-1], self._reception, self._receiving))
        self._reception = self._receiving = None
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)

    async def all_outcomes(self) -> list[Outcome]:
        """What became of each, in order. An instance that did not come to its end has been refused by the caller."""
        await self._finished()
        return self.outcomes

    async def break_off(self, error: ApplianceError) -> None:
        """The instance that was being received ends here."""
        if self.outcomes and self._receiving:
            await self._refuse(error)

    async def _refuse(self, error: ApplianceError) -> None:
        self.outcomes[-1].error = error
        receiving, self._receiving, self._reception = self._receiving, None, None
        if receiving:
            await receiving.aclose()

    async def _finish(self, outcome: Outcome, reception: Reception, receiving: AsyncExitStack) -> None:
        async with receiving:
            try:
                outcome.stored = await reception.finish(partial(self._check, outcome))
            except ApplianceError as error:
                outcome.error = error
            except Exception:  # the edge of the task: the others of the request go on
                log.exception("an instance could not be stored")
                outcome.error = ApplianceError("Something went wrong here", key="internal")

    async def _check(self, outcome: Outcome, parsed: ParsedInstance) -> None:
        outcome.parsed = parsed
        if self._study_uid is not None and parsed.study.study_uid != self._study_uid:
            raise Conflict("the instance is of another study", key="other-study", study_uid=parsed.study.study_uid)

    async def _finished(self) -> None:
        if self._finishing:
            await asyncio.wait(set(self._finishing))
            await asyncio.sleep(0)
