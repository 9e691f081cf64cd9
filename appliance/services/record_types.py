"""Of which types records may be: said at the toplevel, by superusers, and known at every institution, also without a line."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

from appliance.domain.accounts import Account, Right
from appliance.domain.audit import Action, Actor, Event, Subject
from appliance.domain.changes import RecordType, RecordTypes, RecordTypesWanted
from appliance.domain.errors import BadRequest, Conflict, NotFound
from appliance.domain.identifiers import InstitutionId
from appliance.domain.listing import Part, PartWanted
from appliance.domain.people import folded
from appliance.services.audit import Auditing
from appliance.services.database_threads import DatabaseThreads
from appliance.services.synchronisation import TellRecordTypes
from appliance.storage import record_types as storage
from appliance.storage.database import Transaction
from appliance.storage.record_types import RecordTypeFilter

SORTS = tuple(storage.SORTINGS)
_LONGEST_NAME = 100
_AT_ONCE = 500
_PAUSE_S = 10.0
"""Between two looks of an institution: types change seldom, and each look is a signed request."""


class RecordTypesDefined:
    """The types, at the toplevel. One that is not wanted any more is retired, not deleted: records are of it."""

    def __init__(self, database: DatabaseThreads, auditing: Auditing) -> None:
        self._database = database
        self._auditing = auditing

    async def listed(self, wanted: RecordTypeFilter, part: PartWanted) -> Part[RecordType]:
        """For any account."""
        if wanted.search is not None and not folded(wanted.search):
            raise BadRequest("search is empty", parameter="search")
        try:
            return await self._database.read(lambda tx: storage.record_types(tx, wanted, part))
        except ValueError as error:
            raise BadRequest("cursor is none of this list", parameter="cursor") from error

    async def create(self, by: Account, actor: Actor, name: str) -> RecordType:
        """New records may be of it; Conflict if there is one of the name."""
        created = RecordType(uuid4(), _checked(name), is_active=True)

        def work(tx: Transaction) -> None:
            _refuse_taken(tx, created)
            storage.add(tx, created)

        await self._carried_out(by, actor, Action.CREATE_RECORD_TYPE, created, work)
        return created

    async def change(self, by: Account, actor: Actor, changed: RecordType) -> RecordType:
        """It is called so, and new records may be of it or not."""
        _checked(changed.name)

        def work(tx: Transaction) -> None:
            _refuse_taken(tx, changed)
            if not storage.change(tx, changed):
                raise NotFound("There is no such record type", key="no-such-record-type")

        await self._carried_out(by, actor, Action.CHANGE_RECORD_TYPE, changed, work)
        return changed

    async def tell(self, wanted: RecordTypesWanted) -> RecordTypes:
        """What an institution has not heard yet."""
        return await self._database.read(lambda tx: storage.told_after(tx, wanted.after, limit=_AT_ONCE))

    async def _carried_out(
        self, by: Account, actor: Actor, action: Action, about: RecordType, work: Callable[[Transaction], None]
    ) -> None:
        event = Event(actor, action, Subject("record-type", str(about.id)))
        await self._auditing.require(by, Right.DEFINE_RECORD_TYPES, None, event)

        def recorded(tx: Transaction) -> tuple[None, Event]:
            work(tx)
            return None, event

        await self._database.call(lambda database: self._auditing.trail.carry_out(database, recorded))


class RecordTypesKnown:
    """The types as an institution has heard of them."""

    def __init__(self, database: DatabaseThreads, institution_id: InstitutionId, ask: TellRecordTypes) -> None:
        self._database = database
        self._institution_id = institution_id
        self._ask = ask

    async def listed(self) -> tuple[RecordType, ...]:
        """In the order of their names, retired ones too; for any account."""
        return await self._database.read(storage.known)

    async def follow(self) -> float:
        """All is heard that the toplevel has to tell; the seconds until it is asked again. Unavailable while it is away."""
        is_all = False
        while not is_all:
            after = await self._database.read(storage.heard)
            told = await self._ask(RecordTypesWanted(self._institution_id, after))
            if told.types or told.last != after:
                await self._keep(told)
            is_all = told.is_all
        return _PAUSE_S

    async def _keep(self, told: RecordTypes) -> None:
        await self._database.run(lambda tx: storage.keep(tx, told))


def _checked(name: str) -> str:
    if name != name.strip() or not folded(name) or len(name) > _LONGEST_NAME or not name.isprintable():
        raise BadRequest(
            f"name is empty, has more than {_LONGEST_NAME} characters, or some that do not belong there",
            parameter="name",
        )
    return name


def _refuse_taken(tx: Transaction, wanted: RecordType) -> None:
    if storage.has_name(tx, wanted.name, beside=wanted.id):
        raise Conflict("There is a record type of this name", key="name-taken")
