"""The inbox of an institution: ``/api/inbox``, for its own physicians."""

from __future__ import annotations

import datetime
from uuid import UUID, uuid4

import msgspec
from quart import Blueprint, Response

from appliance.domain.audit import Action, Subject
from appliance.domain.changes import PatientRecord
from appliance.domain.identifiers import PatientId, StudyUid, checked_uid
from appliance.domain.people import Gender
from appliance.http.access import Access
from appliance.http.bodies import integer_parameter, json_body, json_response
from appliance.http.records import study_json
from appliance.services.audit import Auditing
from appliance.services.inbox import Decision, Inbox, PlacedStudy
from appliance.storage.inbox import Assignment


class AssignmentToMake(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    patient_id: UUID | None
    """null: back into the inbox."""
    seen_patient_id: UUID | None
    with_number: bool


class PatientToCreate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    family_name: str
    given_name: str
    birth_date: datetime.date | None
    gender: Gender | None
    seen_patient_id: UUID | None
    with_number: bool


def inbox(service: Inbox, access: Access, auditing: Auditing) -> Blueprint:
    blueprint = Blueprint("inbox", __name__)

    @blueprint.get("/api/inbox")
    async def waiting() -> Response:
        account = access.reader()
        studies, total = await service.waiting(
            account, limit=integer_parameter("limit", 50), offset=integer_parameter("offset", 0)
        )
        if studies:  # a count tells of nobody
            await auditing.looked_at(access.actor(account), Action.LIST_INBOX, Subject("inbox"))
        return json_response({"studies": [_waiting(study) for study in studies], "total": total})

    @blueprint.get("/api/inbox/<study_uid>")
    async def one(study_uid: str) -> Response:
        account = access.reader()
        study, assignments = await service.study(account, _study_uid(study_uid))
        await auditing.looked(access.actor(account), Action.OPEN, study.whose.study_uid)
        return json_response(
            {
                **_waiting(study),
                "patient_id": study.whose.patient_id,
                "assignments": [_assignment(one) for one in assignments],
            }
        )

    @blueprint.put("/api/inbox/<study_uid>/patient")
    async def assign(study_uid: str) -> Response:
        account = access.writer()
        wanted = await json_body(AssignmentToMake)
        decision = Decision(
            _study_uid(study_uid),
            _patient_id(wanted.patient_id),
            _patient_id(wanted.seen_patient_id),
            wanted.with_number,
        )
        return json_response(_assignment(await service.assign(account, decision, access.actor(account))))

    @blueprint.post("/api/inbox/<study_uid>/patient")
    async def create(study_uid: str) -> Response:
        account = access.writer()
        wanted = await json_body(PatientToCreate)
        decision = Decision(
            _study_uid(study_uid),
            PatientId(uuid4()),
            _patient_id(wanted.seen_patient_id),
            wanted.with_number,
            PatientRecord(wanted.family_name.strip(), wanted.given_name.strip(), wanted.birth_date, wanted.gender),
        )
        return json_response(_assignment(await service.create(account, decision, access.actor(account))), 201)

    return blueprint


def _study_uid(text: str) -> StudyUid:
    return StudyUid(checked_uid(text, "study_uid"))


def _patient_id(value: UUID | None) -> PatientId | None:
    return None if value is None else PatientId(value)


def _waiting(placed: PlacedStudy) -> dict[str, object]:
    study, patient = placed.whose, placed.whose.patient
    return {
        "study_uid": study.study_uid,
        "study": study_json(placed.held),
        "patient": {
            "name": patient.person_name,
            "id": patient.value,
            "issuer": patient.issuer,
            "birth_date": patient.birth_date,
            "sex": patient.sex,
        },
        "reason": study.reason,
        "candidate_id": study.candidate_id,
        "since": study.since,
    }


def _assignment(assignment: Assignment) -> dict[str, object]:
    return {
        "id": assignment.id,
        "study_uid": assignment.study_uid,
        "patient_id": assignment.patient_id,
        "previous_patient_id": assignment.previous_patient_id,
        "with_number": assignment.with_number,
        "assigned_at": assignment.assigned_at,
        "by": {"id": assignment.account_id, "name": assignment.account_name},
    }
