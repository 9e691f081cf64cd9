"""A patient's studies, at an institution."""

from __future__ import annotations

from quart import Blueprint, Response

from appliance.domain.audit import Action, patient_subject
from appliance.domain.changes import StudyHeld
from appliance.domain.identifiers import PatientId
from appliance.http.access import Access
from appliance.http.bodies import json_response, uuid_in_path
from appliance.services.audit import Auditing
from appliance.services.institution import Institution


def records(institution: Institution, access: Access, auditing: Auditing) -> Blueprint:
    blueprint = Blueprint("records", __name__)

    @blueprint.get("/api/patients/<patient_id>/studies")
    async def studies(patient_id: str) -> Response:
        account = access.reader()
        found = await institution.studies(account, _patient_id(patient_id))
        await auditing.looked_at(access.actor(account), Action.OPEN, patient_subject(_patient_id(patient_id)))
        return json_response({"studies": [study_json(study) for study in found]})

    return blueprint


def _patient_id(text: str) -> PatientId:
    return PatientId(uuid_in_path(text, "patient_id"))


def study_json(study: StudyHeld) -> dict[str, object]:
    """A study as docs/api.md has it."""
    return {
        "study_uid": study.study_uid,
        "node_id": study.node_id,
        "date": study.date,
        "time": study.time,
        "description": study.description,
        "accession_number": study.accession_number,
        "modalities": study.modalities,
        "series_count": study.series_count,
        "instance_count": study.instance_count,
    }
