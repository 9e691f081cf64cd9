"""The outboxes of the roles, as ``synchronisation.Uplink`` carries them up."""

from __future__ import annotations

from appliance.domain.changes import NodeHere, NumberedChange
from appliance.services.database_threads import DatabaseThreads
from appliance.storage import index, institution


class InstitutionOutbox:
    """What an institution has to tell the toplevel."""

    def __init__(self, database: DatabaseThreads) -> None:
        self._database = database

    async def waiting(self, limit: int) -> tuple[NumberedChange, ...]:
        return await self._database.read(lambda tx: institution.outbox(tx, limit=limit))

    async def acknowledge(self, sequence: int) -> None:
        await self._database.run(lambda tx: institution.acknowledge(tx, sequence))

    async def length(self) -> int:
        return await self._database.read(institution.outbox_length)


class NodeOutbox:
    """What a node has to tell its institution."""

    def __init__(self, database: DatabaseThreads) -> None:
        self._database = database

    async def announce(self, here: NodeHere) -> None:
        """The institution will be told that this node is here."""
        await self._database.run(lambda tx: index.put_in_outbox(tx, here))

    async def waiting(self, limit: int) -> tuple[NumberedChange, ...]:
        return await self._database.read(lambda tx: index.outbox(tx, limit=limit))

    async def acknowledge(self, sequence: int) -> None:
        await self._database.run(lambda tx: index.acknowledge(tx, sequence))

    async def length(self) -> int:
        return await self._database.read(index.outbox_length)
