"""The audit trail of one room, for administrators. Who reads it is on record in it."""

from __future__ import annotations

from appliance.domain.accounts import NOWHERE, Account, Right, Role
from appliance.domain.audit import Action, Actor, Event, Subject
from appliance.domain.errors import BadRequest
from appliance.domain.identifiers import InstitutionId
from appliance.domain.listing import Part, PartWanted, Place
from appliance.services.audit import TOPLEVEL, Auditing
from appliance.services.database_threads import DatabaseThreads
from appliance.storage import audit_lists as storage
from appliance.storage.audit_lists import AuditFilter, KeptEvent

SORTS = ("sequence",)


class AuditReading:
    """Records of one room, part by part."""

    def __init__(
        self, room: str, database: DatabaseThreads, auditing: Auditing, institution_id: InstitutionId | None = None
    ) -> None:
        """``institution_id`` is whose trail it is; None at a toplevel, whose records are of many institutions."""
        self.room = room
        self._database = database
        self._auditing = auditing
        self._institution_id = institution_id

    async def records(self, by: Account, actor: Actor, wanted: AuditFilter, part: PartWanted) -> Part[KeptEvent]:
        """Records that fit: of a toplevel, to whoever is no superuser, those of their own institution."""
        subject = Subject("audit", self.room)
        await self._auditing.require(
            by, Right.READ_AUDIT, self._institution_id, Event(actor, Action.READ_AUDIT, subject)
        )
        of = by.institution_id or NOWHERE if self.room == TOPLEVEL and Role.SUPERUSER not in by.roles else None
        await self._auditing.looked_at(actor, Action.READ_AUDIT, subject)
        after = _number(part.after)
        found = await self._database.read(
            lambda tx: storage.records(
                tx,
                self.room,
                wanted,
                of=of,
                after=after,
                is_descending=part.is_descending,
                limit=part.limit + 1,
            )
        )
        rows, is_all = found[: part.limit], len(found) <= part.limit
        return Part(rows, None if is_all else Place(str(rows[-1].sequence), ""))


def _number(place: Place | None) -> int | None:
    if place is None:
        return None
    if not (place.value.isascii() and place.value.isdigit() and len(place.value) < 19):
        raise BadRequest("cursor is none of this list", parameter="cursor")
    return int(place.value)
