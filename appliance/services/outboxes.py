"""The outbox of a role, as ``synchronisation.Uplink`` carries it up."""

from __future__ import annotations

from appliance.domain.changes import Change, NumberedChange
from appliance.services.database_threads import DatabaseThreads
from appliance.storage.outbox import Outbox


class KeptOutbox:
    """What a role has to tell the appliance above it, in its database."""

    def __init__(self, database: DatabaseThreads, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def announce(self, change: Change) -> None:
        """The parent will be told of something that stands in no other row."""
        await self._database.run(lambda tx: self._outbox.put(tx, change))

    async def waiting(self, limit: int) -> tuple[NumberedChange, ...]:
        return await self._database.read(lambda tx: self._outbox.waiting(tx, limit=limit))

    async def acknowledge(self, sequence: int) -> None:
        await self._database.run(lambda tx: self._outbox.acknowledge(tx, sequence))

    async def length(self) -> int:
        return await self._database.read(self._outbox.length)
