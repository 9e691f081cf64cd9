"""A patient's studies and reports, at an institution."""

from __future__ import annotations

import msgspec
from quart import Blueprint, Response

from appliance.domain.audit import Action, patient_subject
from appliance.domain.changes import StudyHeld
from appliance.domain.identifiers import PatientId, StudyUid, checked_uid
from appliance.domain.reports import Report, ReportText
from appliance.http.access import Access
from appliance.http.bodies import json_body, json_response, uuid_in_path
from appliance.services.audit import Auditing
from appliance.services.institution import Institution


class ReportToWrite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    description: str = ""
    findings: str = ""
    conclusion: str = ""
    recommendation: str = ""
    study_uid: str | None = None


def records(institution: Institution, access: Access, auditing: Auditing) -> Blueprint:
    blueprint = Blueprint("records", __name__)

    @blueprint.get("/api/patients/<patient_id>/studies")
    async def studies(patient_id: str) -> Response:
        account = access.reader()
        found = await institution.studies(account, _patient_id(patient_id))
        await auditing.looked_at(access.actor(account), Action.OPEN, patient_subject(_patient_id(patient_id)))
        return json_response({"studies": [study_json(study) for study in found]})

    @blueprint.get("/api/patients/<patient_id>/reports")
    async def reports(patient_id: str) -> Response:
        account = access.reader()
        found = await institution.reports(account, _patient_id(patient_id))
        await auditing.looked_at(access.actor(account), Action.READ_REPORTS, patient_subject(_patient_id(patient_id)))
        return json_response({"reports": [_report(report) for report in found]})

    @blueprint.post("/api/patients/<patient_id>/reports")
    async def write_report(patient_id: str) -> Response:
        account = access.writer()
        wanted = await json_body(ReportToWrite)
        study_uid = StudyUid(checked_uid(wanted.study_uid, "study_uid")) if wanted.study_uid else None
        text = ReportText(wanted.description, wanted.findings, wanted.conclusion, wanted.recommendation)
        by = access.actor(account)
        report = await institution.write_report(account, _patient_id(patient_id), study_uid, text, by)
        return json_response(_report(report), 201)

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


def _report(report: Report) -> dict[str, object]:
    return {
        "id": report.id,
        "study_uid": report.study_uid,
        "created_at": report.created_at,
        "author": {"id": report.author_id, "name": report.author_name},
        "description": report.text.description,
        "findings": report.text.findings,
        "conclusion": report.text.conclusion,
        "recommendation": report.text.recommendation,
    }
