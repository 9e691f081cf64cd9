"""Institutions, for administrators: how each is, what it is called, and that none goes to which something points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TypeVar

from appliance.domain.accounts import Account, Right
from appliance.domain.audit import Action, Actor, Event, Subject
from appliance.domain.errors import BadRequest, Conflict, NotFound
from appliance.domain.identifiers import InstitutionId
from appliance.domain.institutions import InstitutionRecord, PointingTo
from appliance.domain.listing import Part, PartWanted
from appliance.domain.people import folded
from appliance.services.audit import Auditing
from appliance.services.database_threads import DatabaseThreads
from appliance.storage import institutions as storage
from appliance.storage.database import Transaction
from appliance.storage.institutions import InstitutionFilter

T = TypeVar("T")

SORTS = tuple(storage.SORTINGS)
_LONGEST_NAME = 200
_LONGEST_ADDRESS = 500


class Institutions:
    """What the toplevel knows of institutions."""

    def __init__(self, database: DatabaseThreads, auditing: Auditing, here: InstitutionId | None) -> None:
        """``here`` is the institution in the same process, if there is one."""
        self._database = database
        self._auditing = auditing
        self._here = here

    async def listed(self, by: Account, wanted: InstitutionFilter, part: PartWanted) -> Part[InstitutionRecord]:
        by.require(Right.OPERATE)
        if wanted.search is not None and not folded(wanted.search):
            raise BadRequest("search is empty", parameter="search")
        try:
            return await self._database.read(lambda tx: storage.institutions(tx, wanted, part, self._here))
        except ValueError as error:
            raise BadRequest("cursor is none of this list", parameter="cursor") from error

    async def describe(
        self, by: Account, actor: Actor, institution_id: InstitutionId, name: str | None, address: str
    ) -> InstitutionRecord:
        """It is called and found so from now on; without a name as it calls itself."""
        _check(name, address)

        def work(tx: Transaction) -> InstitutionRecord:
            found = storage.describe(tx, institution_id, name, address)
            record = storage.institution(tx, institution_id, self._here)
            if not found or record is None:
                raise _no_such_institution()
            return record

        return await self._carried_out(by, actor, Action.CHANGE_INSTITUTION, institution_id, work)

    async def delete(self, by: Account, actor: Actor, institution_id: InstitutionId) -> None:
        """It is not there any more. Conflict that says what points to it, if anything does."""

        def work(tx: Transaction) -> None:
            if storage.institution(tx, institution_id, self._here) is None:
                raise _no_such_institution()
            pointing = storage.pointing_to(tx, institution_id, self._here)
            if pointing != PointingTo(0, 0, 0, is_believed=False):
                raise Conflict("Something points to this institution", key="pointed-to", **asdict(pointing))
            storage.delete(tx, institution_id)

        await self._carried_out(by, actor, Action.DELETE_INSTITUTION, institution_id, work)

    async def _carried_out(
        self,
        by: Account,
        actor: Actor,
        action: Action,
        institution_id: InstitutionId,
        work: Callable[[Transaction], T],
    ) -> T:
        """What ``work`` returned, on record in its transaction, if ``by`` may; a refusal for want of a right is on record too."""
        event = Event(actor, action, Subject("institution", str(institution_id)))
        await self._auditing.require(by, Right.MANAGE_INSTITUTIONS, institution_id, event)
        trail = self._auditing.trail
        return await self._database.call(lambda database: trail.carry_out(database, lambda tx: (work(tx), event)))


def _check(name: str | None, address: str) -> None:
    if name is not None and (not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable()):
        raise BadRequest(
            f"name is empty, has more than {_LONGEST_NAME} characters, or some that do not belong there",
            parameter="name",
        )
    if len(address) > _LONGEST_ADDRESS or not address.replace("\n", "").isprintable():
        raise BadRequest(
            f"address has more than {_LONGEST_ADDRESS} characters, or some that do not belong there",
            parameter="address",
        )


def _no_such_institution() -> NotFound:
    return NotFound("There is no such institution", key="no-such-institution")
