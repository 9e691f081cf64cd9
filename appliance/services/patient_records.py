"""What the toplevel says of patients: added, changed, removed and merged by physicians."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeVar
from uuid import uuid4

from appliance.domain.accounts import Account, Right
from appliance.domain.audit import Action, Actor, Event, patient_subject
from appliance.domain.errors import BadRequest, ConditionMissing, Conflict, NotFound, Outdated
from appliance.domain.identifiers import PatientId
from appliance.domain.people import EVERYWHERE, Gender, Patient, PatientIdentity
from appliance.services.audit import Auditing
from appliance.services.database_threads import DatabaseThreads
from appliance.storage import toplevel
from appliance.storage.database import Transaction

T = TypeVar("T")

_LONGEST_NAME = 64
"""Of the alphabetic group of a Person Name (PS3.5 §6.2)."""
_LONGEST = {"address": 300, "email": 254, "phone": 40}
_LONGEST_NUMBER = 64
_MOST_NUMBERS = 10


@dataclass(frozen=True, slots=True)
class InsuranceNumber:
    issuer: str
    value: str


@dataclass(frozen=True, slots=True)
class Particulars:
    """All that a person may say of a patient."""

    family_name: str
    given_name: str
    birth_date: date | None
    gender: Gender | None
    address: str = ""
    email: str = ""
    phone: str = ""
    insurance_numbers: tuple[InsuranceNumber, ...] = ()


class PatientRecords:
    def __init__(self, database: DatabaseThreads, auditing: Auditing) -> None:
        self._database = database
        self._auditing = auditing

    async def add(self, account: Account, wanted: Particulars, by: Actor) -> Patient:
        """There is one patient more, known by the numbers of insurers; Conflict if one of those is somebody else's."""
        patient_id = PatientId(uuid4())
        event = Event(by, Action.CREATE_PATIENT, patient_subject(patient_id))
        await self._require(account, event)
        _check(wanted)

        def work(tx: Transaction) -> tuple[Patient, Event]:
            toplevel.add_patient(tx, _as_wanted(Patient(patient_id, "", "", None, None), wanted))
            _keep_numbers(tx, patient_id, wanted)
            return _there(tx, patient_id), event

        return await self._carry_out(work)

    async def change(
        self, account: Account, patient_id: PatientId, wanted: Particulars, seen: int | None, by: Actor
    ) -> Patient:
        """The patient is as said; Outdated if they are not any more as they were ``seen``."""
        event = Event(by, Action.CHANGE_PATIENT, patient_subject(patient_id))
        await self._require(account, event)
        _check(wanted)

        def work(tx: Transaction) -> tuple[Patient, Event]:
            current = _seen(tx, patient_id, seen)
            toplevel.change_patient(tx, _as_wanted(current, wanted))
            _keep_numbers(tx, current.id, wanted)
            return _there(tx, current.id), event

        return await self._carry_out(work)

    async def remove(self, account: Account, patient_id: PatientId, seen: int | None, by: Actor) -> None:
        """The patient is gone; Conflict, naming what, if something points to them."""
        event = Event(by, Action.DELETE_PATIENT, patient_subject(patient_id))
        await self._require(account, event)

        def work(tx: Transaction) -> tuple[None, Event]:
            current = _seen(tx, patient_id, seen)
            numbers = [one for one in current.identities if one.institution_id != EVERYWHERE]
            institutions = {*current.institution_ids, *(one.institution_id for one in numbers)}
            if institutions:
                raise Conflict(
                    "Institutions hold something of this patient, or know them by a number",
                    key="patient-in-use",
                    institution_ids=sorted(map(str, institutions)),
                    numbers=len(numbers),
                )
            toplevel.delete_patient(tx, current.id)
            return None, event

        await self._carry_out(work)

    async def merge(
        self,
        account: Account,
        patient_id: PatientId,
        duplicate_id: PatientId,
        *,
        seen: int | None,
        duplicate_seen: int,
        by: Actor,
    ) -> Patient:
        """What was the duplicate's is the patient's from now on, at institutions as they hear of it; its id is an alias."""
        event = Event(by, Action.MERGE_PATIENTS, patient_subject(patient_id), reason=str(duplicate_id))
        await self._require(account, event)

        def work(tx: Transaction) -> tuple[Patient, Event]:
            kept, duplicate = _seen(tx, patient_id, seen), _seen(tx, duplicate_id, duplicate_seen)
            if kept.id == duplicate.id:
                raise BadRequest("These are the same patient", key="same-patient", parameter="duplicate_id")
            toplevel.merge_patients(tx, kept.id, duplicate.id, by=account.id)
            return _there(tx, kept.id), event

        return await self._carry_out(work)

    async def _require(self, account: Account, wanted: Event) -> None:
        await self._auditing.require(account, Right.KEEP_PATIENTS, None, wanted)

    async def _carry_out(self, work: Callable[[Transaction], tuple[T, Event]]) -> T:
        return await self._database.call(lambda database: self._auditing.trail.carry_out(database, work))


def _there(tx: Transaction, patient_id: PatientId) -> Patient:
    found = toplevel.patient(tx, toplevel.now_called(tx, patient_id))
    if found is None:
        raise NotFound("There is no such patient", key="no-such-patient")
    return found


def _seen(tx: Transaction, patient_id: PatientId, seen: int | None) -> Patient:
    current = _there(tx, patient_id)
    if seen is None:
        raise ConditionMissing("A change says by If-Match what it was made from")
    if current.revision != seen:
        raise Outdated("The patient was changed since they were seen", tag=str(current.revision))
    return current


def _as_wanted(patient: Patient, wanted: Particulars) -> Patient:
    return replace(
        patient,
        family_name=wanted.family_name.strip(),
        given_name=wanted.given_name.strip(),
        birth_date=wanted.birth_date,
        gender=wanted.gender,
        address=wanted.address.strip(),
        email=wanted.email.strip(),
        phone=wanted.phone.strip(),
    )


def _keep_numbers(tx: Transaction, patient_id: PatientId, wanted: Particulars) -> None:
    """The patient has these numbers of insurers and no others."""
    numbers = {PatientIdentity(EVERYWHERE, one.issuer.strip(), one.value.strip()) for one in wanted.insurance_numbers}
    for known in _there(tx, patient_id).identities:
        if known.institution_id == EVERYWHERE and known not in numbers:
            toplevel.forget_number(tx, known, patient_id)
    for number in sorted(numbers, key=lambda one: (one.issuer, one.value)):
        others = [
            one.id for one in toplevel.patients_with_number(tx, number.issuer, number.value) if one.id != patient_id
        ]
        if others or not toplevel.know_number(tx, number, patient_id):
            raise Conflict("The number is another patient's", key="number-taken", patient_ids=sorted(map(str, others)))


def _check(wanted: Particulars) -> None:
    names = {"family_name": wanted.family_name, "given_name": wanted.given_name}
    if not any(name.strip() for name in names.values()):
        raise BadRequest("The patient has no name", parameter="family_name", key="no-name")
    limits = {**dict.fromkeys(names, _LONGEST_NAME), **_LONGEST}
    for field, longest in limits.items():
        text: str = getattr(wanted, field)
        lines = text.split("\n") if field == "address" else [text]
        if len(text) > longest or not all(map(str.isprintable, lines)):
            raise BadRequest(
                f"{field} has more than {longest} characters, or some that do not belong there", parameter=field
            )
    if wanted.birth_date and wanted.birth_date > date.today():
        raise BadRequest("birth_date lies ahead", parameter="birth_date")
    if len(wanted.insurance_numbers) > _MOST_NUMBERS:
        raise BadRequest(f"A patient has at most {_MOST_NUMBERS} numbers", parameter="insurance_numbers")
    for number in wanted.insurance_numbers:
        for part in (number.issuer, number.value):
            if not part.strip() or len(part) > _LONGEST_NUMBER or not part.isprintable():
                raise BadRequest(
                    "A number of an insurer has an issuer and a value",
                    key="wrong-number",
                    parameter="insurance_numbers",
                )
