"""Patients and the directory, at the toplevel."""

from __future__ import annotations

import msgspec
from quart import Blueprint, Response, request

from appliance.domain.audit import Action, Subject, patient_subject
from appliance.domain.identifiers import PatientId
from appliance.domain.people import Patient
from appliance.http.access import Access
from appliance.http.bodies import integer_parameter, json_response, uuid_in_path
from appliance.services.audit import Auditing
from appliance.services.toplevel import Toplevel
from appliance.storage.toplevel import InstitutionEntry


class Directory(msgspec.Struct, frozen=True):
    """Where institutions and nodes are."""

    institutions: tuple[InstitutionEntry, ...]


def patients(toplevel: Toplevel, access: Access, auditing: Auditing) -> Blueprint:
    blueprint = Blueprint("patients", __name__)

    @blueprint.get("/api/directory")
    async def directory() -> Response:
        return json_response(Directory(await toplevel.directory(access.writer())))

    @blueprint.get("/api/patients")
    async def search() -> Response:
        account = access.writer()
        found, total = await toplevel.search_patients(
            account,
            request.args.get("search", ""),
            limit=integer_parameter("limit", 50),
            offset=integer_parameter("offset", 0),
        )
        await auditing.looked_at(access.actor(account), Action.SEARCH, Subject("patient"))
        return json_response({"patients": [patient_json(patient) for patient in found], "total": total})

    @blueprint.get("/api/patients/<patient_id>")
    async def one(patient_id: str) -> Response:
        account = access.writer()
        found = await toplevel.patient(account, PatientId(uuid_in_path(patient_id, "patient_id")))
        await auditing.looked_at(access.actor(account), Action.OPEN, patient_subject(found.id))
        return json_response(patient_json(found))

    return blueprint


def patient_json(patient: Patient) -> dict[str, object]:
    """A patient as docs/api.md has it."""
    return {
        "id": patient.id,
        "family_name": patient.family_name,
        "given_name": patient.given_name,
        "birth_date": patient.birth_date,
        "gender": patient.gender,
        "identities": patient.identities,
        "institution_ids": patient.institution_ids,
    }
