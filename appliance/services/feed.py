"""What the toplevel tells each institution: the rows that it needs, as they change (``storage.feed``, ``storage.copies``).

An institution asks what comes after the number that it has heard, and the answer waits until there is something, so that a change
arrives at once and a quiet line carries next to nothing. One look into the database, twice a second while anybody waits, serves
all who do: another process of the toplevel may have written.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

import msgspec

from appliance.domain.changes import Feed, FeedWanted, SubjectKind, SubjectNow
from appliance.domain.errors import ApplianceError
from appliance.domain.identifiers import AccountId, InstitutionId
from appliance.services.database_threads import DatabaseThreads
from appliance.services.second_factors import SecondFactors
from appliance.storage import copies, feed
from appliance.storage.database import Transaction

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.5
LONGEST_WAIT_S = 20.0
"""An answer that waits longer may be taken for lost on the way."""


class Feeds:
    """The feeds of all institutions."""

    def __init__(self, database: DatabaseThreads, factors: SecondFactors) -> None:
        self._database = database
        self._factors = factors
        self._waiting: dict[InstitutionId, set[asyncio.Event]] = {}
        self._ends: dict[InstitutionId, int] = {}
        self._looking: asyncio.Task[None] | None = None
        self._is_closed = False

    async def tell(self, wanted: FeedWanted) -> Feed:
        """What the institution has not heard yet; nothing, if nothing comes for as long as it waits."""
        institution_id = InstitutionId(wanted.child_id)
        ends_at_s = time.monotonic() + min(wanted.wait_s, LONGEST_WAIT_S)
        while True:
            told = await self._told(institution_id, wanted)
            left_s = ends_at_s - time.monotonic()
            if told.subjects or told.is_from_start or left_s <= 0 or self._is_closed:
                return told
            await self._news(institution_id, told.cursor.number, left_s)

    async def close(self) -> None:
        """Nobody waits any longer; whoever asks is answered at once."""
        self._is_closed = True
        for events in self._waiting.values():
            for event in events:
                event.set()
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking

    async def _told(self, institution_id: InstitutionId, wanted: FeedWanted) -> Feed:
        found = await self._database.read(lambda tx: self._read(tx, institution_id, wanted))
        if found is None:
            await self._database.run(lambda tx: copies.begin(tx, institution_id))
            found = await self._database.read(lambda tx: self._read(tx, institution_id, wanted))
        assert found is not None, "the feed has begun"
        return found

    def _read(self, tx: Transaction, institution_id: InstitutionId, wanted: FeedWanted) -> Feed | None:
        told = copies.told(tx, institution_id, wanted.after)
        if told is None:
            return None
        return msgspec.structs.replace(told, subjects=tuple(self._with_factor(tx, one) for one in told.subjects))

    def _with_factor(self, tx: Transaction, subject: SubjectNow) -> SubjectNow:
        if subject.kind is not SubjectKind.ACCOUNT or not subject.rows:
            return subject
        return msgspec.structs.replace(subject, second_factor=self._factors.secret(tx, AccountId(subject.id)))

    async def _news(self, institution_id: InstitutionId, number: int, wait_s: float) -> None:
        """Returns when the feed goes beyond ``number``, or after the time."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._keep_looking(), name="the feeds")
        event = asyncio.Event()
        self._waiting.setdefault(institution_id, set()).add(event)
        try:
            if self._ends.get(institution_id, number) > number:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await event.wait()
        finally:
            self._waiting[institution_id].discard(event)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            if not any(self._waiting.values()):
                continue
            try:
                ends = await self._database.read(feed.ends)
            except ApplianceError as error:
                log.warning("what institutions are to be told could not be looked at: %s", error)
                continue
            for institution_id, number in ends:
                if self._ends.get(InstitutionId(institution_id)) != number:
                    self._ends[InstitutionId(institution_id)] = number
                    for event in self._waiting.get(InstitutionId(institution_id), ()):
                        event.set()
