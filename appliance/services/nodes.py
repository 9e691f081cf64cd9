"""The nodes of an institution, for its administrators; and what a node itself holds and has room for."""

from __future__ import annotations

import asyncio
from uuid import UUID

from appliance.domain.accounts import Account, Right
from appliance.domain.audit import Action, Actor, Event, Subject
from appliance.domain.errors import BadRequest, Conflict, NotFound
from appliance.domain.identifiers import InstitutionId
from appliance.domain.listing import Part, PartWanted
from appliance.domain.nodes import Capacity, NodeRecord, NodeState
from appliance.services.audit import Auditing
from appliance.services.database_threads import DatabaseThreads
from appliance.services.institution import Institution
from appliance.storage import index
from appliance.storage import nodes as storage
from appliance.storage.database import Transaction
from appliance.storage.instances import InstanceStore

SORTS = tuple(storage.SORTINGS)


class Nodes:
    """What an institution knows of its nodes."""

    def __init__(
        self, database: DatabaseThreads, auditing: Auditing, institution: Institution, here: UUID | None
    ) -> None:
        """``here`` is the node in the same process, if there is one."""
        self._database = database
        self._auditing = auditing
        self._institution = institution
        self._here = here

    async def listed(self, by: Account, state: NodeState | None, part: PartWanted) -> Part[NodeRecord]:
        by.require(Right.OPERATE)
        try:
            return await self._database.read(lambda tx: storage.nodes(tx, state, part, self._here))
        except ValueError as error:
            raise BadRequest("cursor is none of this list", parameter="cursor") from error

    async def delete(self, by: Account, actor: Actor, node_id: UUID) -> None:
        """It is not named any more, here and in the directory. Conflict that says what points to it, if anything does."""
        event = Event(actor, Action.DELETE_NODE, Subject("node", str(node_id)))
        await self._auditing.require(by, Right.ENROL_NODES, InstitutionId(self._institution.id), event)

        def work(tx: Transaction) -> tuple[None, Event]:
            found = storage.node(tx, node_id, self._here)
            if found is None:
                raise NotFound("There is no such node", key="no-such-node")
            is_believed = found.state is not NodeState.NOT_ENROLLED
            if found.studies or is_believed:
                raise Conflict(
                    "Something points to this node", key="pointed-to", studies=found.studies, is_believed=is_believed
                )
            storage.delete(tx, node_id)
            return None, event

        await self._database.call(lambda database: self._auditing.trail.carry_out(database, work))
        await self._institution.announce()


class Holdings:
    """What a node holds, and how much room there is."""

    def __init__(self, store: InstanceStore, database: DatabaseThreads) -> None:
        self._store = store
        self._database = database

    async def capacity(self, by: Account) -> Capacity:
        by.require(Right.OPERATE)
        total_bytes, free_bytes, floor_bytes = await asyncio.to_thread(self._store.room)
        studies, series, instances = await self._database.read(index.totals)
        return Capacity(total_bytes, free_bytes, floor_bytes, studies, series, instances)
