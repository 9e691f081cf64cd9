"""What the toplevel knows for everybody: patients, institutions and nodes, told by the institutions."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from uuid import uuid4

from appliance.domain import matching
from appliance.domain.accounts import Account, Right
from appliance.domain.changes import (
    Acknowledgement,
    Answer,
    Answers,
    AuditHead,
    Change,
    Delivery,
    InstitutionHere,
    NumbersFree,
    PatientHere,
    PatientNotHere,
    PatientNumber,
    PatientRecord,
    PatientTold,
    Question,
    Questions,
    SubjectKind,
)
from appliance.domain.errors import BadRequest, NotAllowed, NotFound
from appliance.domain.identifiers import InstitutionId, PatientId
from appliance.domain.matching import Matched, Reason, Waits
from appliance.domain.people import Patient, PatientIdentity
from appliance.services.database_threads import DatabaseThreads
from appliance.storage import audit_heads, feed, toplevel
from appliance.storage.database import Transaction
from appliance.storage.toplevel import InstitutionEntry, NodeEntry

log = logging.getLogger(__name__)

_MOST_PATIENTS = 200
_NEWS_AT_ONCE = 500


class Toplevel:
    """Patients and the directory."""

    def __init__(self, database: DatabaseThreads, *, insurers: Iterable[str] = ()) -> None:
        """Numbers that were issued by ``insurers`` are a person's at every institution."""
        self._database = database
        self._insurers = frozenset(issuer for issuer in insurers if issuer.strip())

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
        found, is_told = await self._database.read(lambda tx: _known(tx, account, patient_id))
        if found is None:
            raise NotFound("There is no such patient", key="no-such-patient")
        if not is_told:
            await self._database.run(lambda tx: _tell(tx, account, found.id))
        return found

    async def take_delivery(self, delivery: Delivery) -> Acknowledgement:
        """All changes of ``delivery`` are kept, those that were heard before left out; from an institution known by its key."""
        return await self._database.run(lambda tx: self._take(tx, delivery))

    async def answer(self, questions: Questions) -> Answers:
        """Whose the studies of an institution are, by ``domain.matching``; a match is on record when this returns."""
        return await self._database.run(lambda tx: self._answers(tx, questions))

    def _take(self, tx: Transaction, delivery: Delivery) -> Acknowledgement:
        last = toplevel.DELIVERIES.last(tx, delivery.child_id)
        for numbered in delivery.changes:
            if numbered.sequence > last:
                self._keep(tx, InstitutionId(delivery.child_id), numbered.change)
                last = numbered.sequence
        toplevel.DELIVERIES.keep(tx, delivery.child_id, last)
        return Acknowledgement(last)

    def _keep(self, tx: Transaction, child_id: InstitutionId, change: Change) -> None:
        if not isinstance(change, InstitutionHere | PatientHere | PatientNotHere | NumbersFree | AuditHead):
            raise BadRequest("The toplevel takes no such change", key="unknown-change", change=type(change).__name__)
        if not isinstance(change, AuditHead) and change.institution_id != child_id:
            raise NotAllowed("An institution speaks only of itself", key="other-institution")
        if isinstance(change, AuditHead):
            _hear_head(tx, child_id, change)
        elif isinstance(change, InstitutionHere):
            nodes = tuple(NodeEntry(node.node_id, node.name, node.base_url, node.draws_for) for node in change.nodes)
            toplevel.keep_institution(tx, InstitutionEntry(child_id, change.name, change.base_url, nodes))
        elif isinstance(change, PatientHere):
            self._keep_assigned(tx, child_id, change)
        elif isinstance(change, PatientNotHere):
            # Of somebody who was merged it says nothing: the other's things may be there.
            toplevel.note_not_held(tx, PatientId(change.patient_id), child_id)
        else:
            for identity in self._identities(child_id, change.numbers):
                toplevel.forget_number(tx, identity, PatientId(change.patient_id))

    def _keep_assigned(self, tx: Transaction, child_id: InstitutionId, change: PatientHere) -> None:
        patient_id = toplevel.now_called(tx, PatientId(change.patient_id))
        if change.record:
            toplevel.add_patient(tx, _new_patient(patient_id, change.record))
        elif not toplevel.has_patient(tx, patient_id):
            # Refusing would stop all that comes after it; the study stays where its institution sees it.
            log.warning("institution %s holds something of patient %s, who is not known", child_id, patient_id)
            return
        toplevel.note_held(tx, patient_id, child_id)
        instead_of = PatientId(change.instead_of) if change.instead_of else None
        for identity in self._identities(child_id, change.numbers):
            if not toplevel.know_number(tx, identity, patient_id, instead_of=instead_of):
                log.warning("a number that institution %s gave to patient %s is another's", child_id, patient_id)

    def _identities(self, child_id: InstitutionId, numbers: Sequence[PatientNumber]) -> tuple[PatientIdentity, ...]:
        """The first number is that of the institution; of the others only those that insurers gave say who somebody is."""
        own = [number for number in numbers[:1] if not matching.is_blank(number)]
        others = [number for number in numbers[1:] if number.issuer in self._insurers]
        return tuple(PatientIdentity(child_id, number.issuer, number.value) for number in (*own, *others))

    def _answers(self, tx: Transaction, questions: Questions) -> Answers:
        child_id = InstitutionId(questions.child_id)
        asked = [toplevel.told(tx, PatientId(patient_id), child_id) for patient_id in questions.patient_ids]
        news: tuple[PatientTold, ...] = ()
        last = questions.patients_after or 0
        if questions.patients_after is not None:
            news, last = toplevel.told_after(tx, child_id, questions.patients_after, limit=_NEWS_AT_ONCE)
        return Answers(
            tuple(self._answer(tx, child_id, question, questions.may_create) for question in questions.studies),
            tuple(one for one, told in zip(questions.patient_ids, asked, strict=True) if told is not None),
            (*(told for told in asked if told is not None), *news),
            last,
            len(news) < _NEWS_AT_ONCE,
            audit_heads.heads(tx, child_id) if questions.audit_heads else (),
        )

    def _answer(self, tx: Transaction, child_id: InstitutionId, question: Question, may_create: bool) -> Answer:
        held = question.patient
        identity = PatientIdentity(child_id, held.issuer, held.value)
        insured = [
            patient
            for number in matching.insurance_numbers(held, self._insurers)
            for patient in toplevel.patients_with_number(tx, number.issuer, number.value)
        ]
        outcome = matching.match(held, toplevel.patient_with_number(tx, identity), insured)
        if outcome == Waits(Reason.UNKNOWN_ID) and may_create and matching.may_become_patient(held):
            patient_id = PatientId(uuid4())
            toplevel.add_patient(tx, _new_patient(patient_id, matching.record_of(held)))
            outcome = Matched(patient_id)
        if isinstance(outcome, Waits):
            return Answer(question.study_uid, None, outcome.reason, outcome.candidate_id)
        for known in self._identities(child_id, (held.number, *held.other_numbers)):
            toplevel.know_number(tx, known, outcome.patient_id)
        toplevel.note_held(tx, outcome.patient_id, child_id)
        return Answer(question.study_uid, outcome.patient_id, None)


def _hear_head(tx: Transaction, child_id: InstitutionId, head: AuditHead) -> None:
    if head.room == "institution" and head.keeper_id != child_id:
        raise NotAllowed("An institution speaks only of itself", key="other-institution")
    fault = audit_heads.hear(tx, child_id, head, datetime.now(UTC))
    if fault is not None:
        log.error("the audit trail of %s %s, of institution %s, was %s", head.room, head.keeper_id, child_id, fault)


def _known(tx: Transaction, account: Account, patient_id: PatientId) -> tuple[Patient | None, bool]:
    """The patient as they are called now, and whether the account's institution is told of them."""
    now_called = toplevel.now_called(tx, patient_id)
    return toplevel.patient(tx, now_called), _is_told(tx, account, now_called)


def _is_told(tx: Transaction, account: Account, patient_id: PatientId) -> bool:
    """Whether the institution of the account knows of the patient, so as to find them also while the toplevel is away."""
    home = account.institution_id
    if home is None or feed.cursor(tx, home) is None:
        return True  # nobody to tell
    return feed.is_following(tx, home, SubjectKind.PATIENT, patient_id)


def _tell(tx: Transaction, account: Account, patient_id: PatientId) -> None:
    if account.institution_id is not None and toplevel.has_patient(tx, patient_id):
        feed.follow(tx, account.institution_id, SubjectKind.PATIENT, patient_id)


def _new_patient(patient_id: PatientId, record: PatientRecord) -> Patient:
    return Patient(patient_id, record.family_name, record.given_name, record.birth_date, record.gender)
