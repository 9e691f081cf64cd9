"""The inbox of an institution: studies whose patient is for its physicians to say, and what they said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from uuid import uuid4

from appliance.domain import matching
from appliance.domain.accounts import Account, Right
from appliance.domain.audit import Action, Actor, Event, Outcome, dicom_subject, patient_subject
from appliance.domain.changes import (
    NumbersFree,
    PatientHere,
    PatientNotHere,
    PatientRecord,
    Questions,
    StudyHeld,
)
from appliance.domain.errors import BadRequest, Conflict, NotAllowed, NotFound, Unavailable
from appliance.domain.identifiers import InstitutionId, PatientId, StudyUid
from appliance.services.audit import AuditTrail
from appliance.services.copies import know_new_patient
from appliance.services.database_threads import DatabaseThreads
from appliance.services.synchronisation import AnswerQuestions
from appliance.storage import inbox, institution, reports
from appliance.storage.database import Transaction
from appliance.storage.inbox import Assignment, StudyPatient

_MOST_STUDIES = 200
_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class PlacedStudy:
    """Whose a study is, and where it lies."""

    whose: StudyPatient
    held: StudyHeld
    """Where most of it lies."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a physician says about a study."""

    study_uid: StudyUid
    patient_id: PatientId | None
    """None: back into the inbox."""
    seen_patient_id: PatientId | None
    """Whose it was when they decided; None of one that waited."""
    with_number: bool
    """Whether it is about all studies with its Patient ID, those to come as well."""
    record: PatientRecord | None = None
    """Of a patient who is new."""


class Inbox:
    """What waits at one institution; for its own physicians."""

    def __init__(
        self,
        database: DatabaseThreads,
        institution_id: InstitutionId,
        answer: AnswerQuestions,
        trail: AuditTrail,
        *,
        on_change: Callable[[], None],
    ) -> None:
        """``on_change`` is called when there is something for the toplevel."""
        self._database = database
        self._institution_id = institution_id
        self._answer = answer
        self._trail = trail
        self._on_change = on_change

    async def waiting(self, account: Account, *, limit: int, offset: int) -> tuple[tuple[PlacedStudy, ...], int]:
        """Studies that wait, the newest first, and how many there are in all; a limit of 0 only counts."""
        self._require(account)
        if not 0 <= limit <= _MOST_STUDIES:
            raise BadRequest(f"limit is not between 0 and {_MOST_STUDIES}", parameter="limit")
        if offset < 0:
            raise BadRequest("offset is negative", parameter="offset")
        return await self._database.read(lambda tx: (_waiting(tx, limit, offset), inbox.waiting_count(tx)))

    async def study(self, account: Account, study_uid: StudyUid) -> tuple[PlacedStudy, tuple[Assignment, ...]]:
        """Whose a study of this institution is, and what persons decided about it, the newest first."""
        self._require(account)
        return await self._database.read(
            lambda tx: (_placed(tx, (inbox.study_patient(tx, study_uid),))[0], inbox.history(tx, study_uid))
        )

    async def assign(self, account: Account, decision: Decision, by: Actor) -> Assignment:
        """The study is a patient's who is there already, or waits again, and ``by`` whom is on record.

        Conflict if somebody else decided meanwhile; Unavailable if the toplevel, which would know the patient, is away and
        nothing of the patient is here.
        """
        event = Event(by, Action.TAKE_BACK, dicom_subject(decision.study_uid))
        if decision.patient_id is not None:
            event = Event(by, Action.ASSIGN, patient_subject(decision.patient_id, decision.study_uid))
        await self._require_or_record(account, event)
        if decision.patient_id is not None:
            await self._check_patient(decision.patient_id)
        return await self._decide(account, decision, event)

    async def create(self, account: Account, decision: Decision, by: Actor) -> Assignment:
        """The study is a new patient's, who is as ``decision.record`` says; also while the toplevel is away."""
        assert decision.record is not None and decision.patient_id is not None
        event = Event(by, Action.CREATE_PATIENT, patient_subject(decision.patient_id, decision.study_uid))
        await self._require_or_record(account, event)
        _check_record(decision.record)
        return await self._decide(account, decision, event)

    def _require(self, account: Account) -> None:
        account.require(Right.ASSIGN, at=self._institution_id)

    async def _require_or_record(self, account: Account, wanted: Event) -> None:
        """Like ``_require``; what is refused is on record."""
        try:
            self._require(account)
        except NotAllowed as error:
            refused = replace(wanted, outcome=Outcome.REFUSED, reason=error.key)
            await self._database.call(lambda database: self._trail.put(database, refused))
            raise

    async def _check_patient(self, patient_id: PatientId) -> None:
        if await self._database.read(lambda tx: inbox.is_known(tx, patient_id)):
            return
        try:
            answers = await self._answer(Questions(self._institution_id, patient_ids=(patient_id,)))
        except Unavailable as error:
            raise Unavailable(
                "The toplevel cannot be asked for this patient now; a new patient can be made meanwhile",
                key="toplevel-away",
            ) from error
        if patient_id not in answers.patient_ids:
            raise NotFound("There is no such patient", key="no-such-patient")

    async def _decide(self, account: Account, decision: Decision, event: Event) -> Assignment:
        def work(tx: Transaction) -> tuple[Assignment, Event]:
            return self._decided(tx, account, decision), event

        assignment = await self._database.call(lambda database: self._trail.carry_out(database, work))
        self._on_change()
        return assignment

    def _decided(self, tx: Transaction, account: Account, decision: Decision) -> Assignment:
        current = inbox.study_patient(tx, decision.study_uid)
        _check_decision(tx, current, decision)
        assignment = Assignment(
            uuid4(),
            decision.study_uid,
            decision.patient_id,
            current.patient_id,
            decision.with_number,
            account.id,
            account.name,
            datetime.now(UTC).replace(microsecond=0),
        )
        inbox.decide(tx, assignment)
        self._tell(tx, current, decision)
        if decision.with_number:
            inbox.ask_again(tx, current.patient.number)
        self._leave(tx, current, decision)
        return assignment

    def _tell(self, tx: Transaction, current: StudyPatient, decision: Decision) -> None:
        numbers = (current.patient.number, *current.patient.other_numbers) if decision.with_number else ()
        before = current.patient_id or current.candidate_id
        if decision.patient_id is not None:
            here = PatientHere(self._institution_id, decision.patient_id, numbers, before, decision.record)
            institution.OUTBOX.put(tx, here)
            know_new_patient(tx, here)
        elif before is not None and numbers:
            institution.OUTBOX.put(tx, NumbersFree(self._institution_id, before, numbers))

    def _leave(self, tx: Transaction, current: StudyPatient, decision: Decision) -> None:
        """The toplevel hears when nothing of the patient whose the study was is left here."""
        before = current.patient_id
        if before is None or before == decision.patient_id:
            return
        if not inbox.is_known(tx, before) and not reports.has_reports(tx, before):
            institution.OUTBOX.put(tx, PatientNotHere(self._institution_id, before))


def _waiting(tx: Transaction, limit: int, offset: int) -> tuple[PlacedStudy, ...]:
    return _placed(tx, inbox.waiting(tx, limit=limit, offset=offset)) if limit else ()


def _placed(tx: Transaction, studies: Sequence[StudyPatient]) -> tuple[PlacedStudy, ...]:
    largest: dict[str, StudyHeld] = {}
    for held in institution.held_studies(tx, [study.study_uid for study in studies]):
        if held.study_uid not in largest or held.instance_count > largest[held.study_uid].instance_count:
            largest[held.study_uid] = held
    return tuple(PlacedStudy(study, largest[study.study_uid]) for study in studies)


def _check_decision(tx: Transaction, current: StudyPatient, decision: Decision) -> None:
    if current.patient_id != decision.seen_patient_id:
        last = next(iter(inbox.history(tx, current.study_uid)), None)
        by_person = last if last and last.patient_id == current.patient_id else None
        raise Conflict(
            "Somebody else has decided about this study meanwhile",
            key="assigned-meanwhile",
            patient_id=current.patient_id,
            by=by_person.account_name if by_person else None,
            at=(by_person.assigned_at if by_person else current.since).isoformat(),
        )
    if decision.patient_id is None and current.patient_id is None:
        raise BadRequest("The study waits already", key="waits-already")
    if decision.with_number and matching.is_blank(current.patient.number):
        raise BadRequest("The study has no Patient ID, so it is assigned alone", key="no-number")


def _check_record(record: PatientRecord) -> None:
    names = {"family_name": record.family_name, "given_name": record.given_name}
    if not any(name.strip() for name in names.values()):
        raise BadRequest("The patient has no name", parameter="family_name", key="no-name")
    for field, name in names.items():
        if len(name) > _LONGEST_NAME:
            raise BadRequest(f"{field} has more than {_LONGEST_NAME} characters", parameter=field)
    if record.birth_date and record.birth_date > date.today():
        raise BadRequest("birth_date lies ahead", parameter="birth_date")
