"""What the toplevel knows for everybody: patients, institutions and nodes, told by the institutions."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from appliance.domain.accounts import Account, Right
from appliance.domain.changes import (
    Acknowledgement,
    Change,
    Delivery,
    InstitutionHere,
    NumberedChange,
    PatientAsHeld,
    PatientHeld,
)
from appliance.domain.errors import BadRequest, NotAllowed, NotFound
from appliance.domain.identifiers import InstitutionId, PatientId, patient_id_for
from appliance.domain.people import Gender, Patient, PatientIdentity, family_and_given
from appliance.services.database_threads import DatabaseThreads
from appliance.storage import toplevel
from appliance.storage.database import Transaction
from appliance.storage.toplevel import InstitutionEntry, NodeEntry

_MOST_PATIENTS = 200


class Toplevel:
    """Patients and the directory."""

    def __init__(self, database: DatabaseThreads) -> None:
        self._database = database

    async def directory(self, account: Account) -> tuple[InstitutionEntry, ...]:
        """Every institution and its nodes; any account may know them."""
        return await self._database.read(toplevel.directory)

    async def search_patients(
        self, account: Account, search: str, *, limit: int, offset: int
    ) -> tuple[tuple[Patient, ...], int]:
        """Patients that fit and how many there are in all (``storage.toplevel.search_patients``)."""
        account.require(Right.VIEW)
        if not 1 <= limit <= _MOST_PATIENTS:
            raise BadRequest(f"limit is not between 1 and {_MOST_PATIENTS}", parameter="limit")
        if offset < 0:
            raise BadRequest("offset is negative", parameter="offset")
        return await self._database.read(lambda tx: toplevel.search_patients(tx, search, limit=limit, offset=offset))

    async def patient(self, account: Account, patient_id: PatientId) -> Patient:
        account.require(Right.VIEW)
        found = await self._database.read(lambda tx: toplevel.patient(tx, patient_id))
        if found is None:
            raise NotFound("There is no such patient", key="no-such-patient")
        return found

    async def take_delivery(self, delivery: Delivery) -> Acknowledgement:
        """All changes of ``delivery`` are kept, those that were heard before left out; from an institution known by its key."""
        return await self._database.run(lambda tx: _take(tx, delivery))


def _take(tx: Transaction, delivery: Delivery) -> Acknowledgement:
    last = toplevel.DELIVERIES.last(tx, delivery.child_id)
    for numbered in delivery.changes:
        if numbered.sequence > last:
            _keep(tx, delivery.child_id, numbered)
            last = numbered.sequence
    toplevel.DELIVERIES.keep(tx, delivery.child_id, last)
    return Acknowledgement(last)


def _keep(tx: Transaction, child_id: UUID, numbered: NumberedChange) -> None:
    change: Change = numbered.change
    if isinstance(change, InstitutionHere):
        _only_of_itself(child_id, change.institution_id)
        nodes = tuple(NodeEntry(node.node_id, node.name, node.base_url) for node in change.nodes)
        toplevel.keep_institution(tx, InstitutionEntry(child_id, change.name, change.base_url, nodes))
    elif isinstance(change, PatientHeld):
        _only_of_itself(child_id, change.institution_id)
        toplevel.keep_patient(tx, _patient(InstitutionId(child_id), change.patient))
    else:
        raise BadRequest("The toplevel takes no such change", key="unknown-change", change=type(change).__name__)


def _only_of_itself(child_id: UUID, institution_id: UUID) -> None:
    if child_id != institution_id:
        raise NotAllowed("An institution speaks only of itself", key="other-institution")


def _patient(institution_id: InstitutionId, held: PatientAsHeld) -> Patient:
    family_name, given_name = family_and_given(held.person_name)
    return Patient(
        id=patient_id_for(institution_id, held.issuer, held.value),
        family_name=family_name,
        given_name=given_name,
        birth_date=_date(held.birth_date),
        gender=_gender(held.sex),
        identities=(PatientIdentity(institution_id, held.issuer, held.value),),
    )


def _date(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


def _gender(sex: str | None) -> Gender | None:
    return sex if sex in ("F", "M", "O") else None  # type: ignore[return-value]
