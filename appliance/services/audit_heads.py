"""The heads of the audit trails go up: a role tells its own, the toplevel keeps them and shows what it was told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from uuid import UUID

from appliance.domain.accounts import NOWHERE, Account, Right, Role
from appliance.domain.changes import AuditHead, TrailBelow
from appliance.domain.errors import ApplianceError
from appliance.services.database_threads import DatabaseThreads
from appliance.storage import audit, audit_heads
from appliance.storage.audit_heads import ToldChain
from appliance.storage.database import Transaction
from appliance.storage.outbox import Outbox

log = logging.getLogger(__name__)

PAUSE_S = 30.0
"""Between two looks: so much of a trail could be written anew before its head has left."""


class HeadTelling:
    """Puts the head of a trail into the outbox when there is a new one, in the background."""

    def __init__(
        self,
        database: DatabaseThreads,
        room: TrailBelow,
        keeper_id: UUID,
        outbox: Outbox,
        *,
        on_change: Callable[[], None],
    ) -> None:
        self._database = database
        self._room = room
        self._keeper_id = keeper_id
        self._outbox = outbox
        self._on_change = on_change
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep_telling(), name=f"heads of the {self._room}'s audit trail")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def tell(self) -> None:
        """The head will be told, if there is one that was not."""

        def work(tx: Transaction) -> bool:
            head = audit.untold_head(tx, self._room)
            if head is not None:
                self._outbox.put(tx, AuditHead(self._keeper_id, self._room, head.sequence, head.hash))
            return head is not None

        if await self._database.run(work):
            self._on_change()

    async def _keep_telling(self) -> None:
        while True:
            try:
                await self.tell()
            except ApplianceError as error:
                log.warning("the head of the %s's audit trail could not be told: %s", self._room, error)
            await asyncio.sleep(PAUSE_S)


class ToldChains:
    """What a toplevel knows of the trails below it."""

    def __init__(self, database: DatabaseThreads) -> None:
        self._database = database

    async def listed(self, by: Account) -> tuple[ToldChain, ...]:
        """Those of one's own institution; of all to superusers."""
        by.require(Right.READ_AUDIT)
        of = None if Role.SUPERUSER in by.roles else by.institution_id or NOWHERE
        return await self._database.read(lambda tx: audit_heads.chains(tx, of))
