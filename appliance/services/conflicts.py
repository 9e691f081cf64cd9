"""Bytes that came under the UID of an instance that is held, and are others: looked at, and decided about.

A decision names what was seen; if something else is held by then, nothing is changed. It is on record in its own transaction.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from appliance.domain.audit import Action, Actor, Event, Subject, dicom_subject
from appliance.domain.errors import Conflict, NotFound
from appliance.domain.hierarchy import ParsedInstance
from appliance.domain.identifiers import InstanceUid
from appliance.domain.preamble import PREAMBLE_BYTES, PREFIX, preamble_of
from appliance.services import removals
from appliance.services.archive import Archive
from appliance.services.audit import Auditing
from appliance.services.database_threads import DatabaseThreads
from appliance.services.ingest import Ingest
from appliance.storage import index
from appliance.storage.database import Database, Transaction
from appliance.storage.holdings import Holding
from appliance.storage.index import ConflictList, KeptApart
from appliance.storage.instances import InstanceStore

Choice = Literal["held", "refused"]
"""Which of the two stays."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What an administrator decides."""

    instance_uid: InstanceUid
    refused_key: str
    """SHA-256 of the bytes that are kept apart."""
    held_key: str
    """Of those that were held when they decided."""
    keep: Choice


class Conflicts:
    """The conflicts of a node."""

    def __init__(
        self,
        store: InstanceStore,
        database: DatabaseThreads,
        ingest: Ingest,
        archive: Archive,
        auditing: Auditing,
        *,
        node_id: UUID,
        forget: removals.Forget = removals.nothing_else,
    ) -> None:
        """``forget`` removes what was made of an instance whose bytes go; called on a thread of the database."""
        self._store = store
        self._database = database
        self._node_id = node_id
        self._ingest = ingest
        self._archive = archive
        self._auditing = auditing
        self._forget = forget

    async def listed(self, *, limit: int, offset: int) -> ConflictList:
        """The newest first."""
        return await self._database.read(
            lambda tx: ConflictList(index.conflicts(tx, limit=limit, offset=offset), index.conflict_count(tx))
        )

    async def kept_apart(self, instance_uid: InstanceUid, refused_key: str, by: Actor) -> AsyncGenerator[bytes, None]:
        """The bytes as they came, in pieces; a preamble that is a program is zeroes. That they are given is on record.

        Raises NotFound, also where they were not kept (of a version before 0.2).
        """
        apart = await self._database.read(lambda tx: index.kept_apart(tx, instance_uid, refused_key))
        await self._auditing.put(Event(by, Action.RETRIEVE, _subject(apart), reason="kept-apart", instances=1))
        preamble = await self._database.call(lambda _: self._preamble(refused_key))
        size_bytes = apart.refused.size_bytes
        uids = apart.study_uid, apart.series_uid, apart.instance_uid
        return self._archive.original(Holding(*uids, refused_key, size_bytes, "", preamble, False, False))

    def _preamble(self, key: str) -> str:
        with self._store.open(key) as reader:
            return preamble_of(reader.read_at(0, PREAMBLE_BYTES + len(PREFIX)))

    async def resolve(self, wanted: Resolution, by: Actor) -> None:
        """One of the two stays, the other is gone, and on record ``by`` whom.

        Where the bytes that were kept apart take the place, the instance is described anew, by them. Raises NotFound, and
        Conflict (``held-meanwhile``) if other bytes are held than were seen.
        """
        apart = await self._database.read(lambda tx: index.kept_apart(tx, wanted.instance_uid, wanted.refused_key))
        parsed = await self._ingest.parsed_again(wanted.refused_key) if wanted.keep == "refused" else None
        event = Event(by, Action.RESOLVE_CONFLICT, _subject(apart), reason=f"{wanted.keep}-kept", instances=1)
        await self._database.call(lambda database: self._resolved(database, wanted, parsed, event))

    def _resolved(self, database: Database, wanted: Resolution, parsed: ParsedInstance | None, event: Event) -> None:
        def work(tx: Transaction) -> tuple[str, Event]:
            apart = index.kept_apart(tx, wanted.instance_uid, wanted.refused_key)
            if apart.held_key != wanted.held_key:
                raise Conflict("Other bytes are held by now", key="held-meanwhile", held_key=apart.held_key)
            if parsed is None:
                return index.drop_conflict(tx, apart), event
            return index.replace_held(tx, self._node_id, apart, parsed), event

        with self._store.holding(wanted.refused_key):
            if not self._store.contains(wanted.refused_key):
                raise NotFound("These bytes are not there", key="not-kept-apart")
            gone = self._auditing.trail.carry_out(database, work)
        removals.remove(self._store, database, [gone], self._forget)


def _subject(apart: KeptApart) -> Subject:
    return dicom_subject(apart.study_uid, apart.series_uid, apart.instance_uid)
