"""Patients and the directory: at the toplevel, and of its copy at an institution."""

from __future__ import annotations

import datetime
from typing import Literal, Protocol
from uuid import UUID

import msgspec
from quart import Blueprint, Response, request

from appliance.domain.accounts import Account
from appliance.domain.audit import Action, Subject, patient_subject
from appliance.domain.errors import BadRequest
from appliance.domain.identifiers import PatientId
from appliance.domain.people import Patient
from appliance.http.access import Access
from appliance.http.bodies import integer_parameter, json_body, json_response, uuid_in_path
from appliance.services.audit import Auditing
from appliance.services.patient_records import InsuranceNumber, Particulars, PatientRecords
from appliance.storage.toplevel import InstitutionEntry

LONGEST_SEARCH = 200
"""Characters; names are shorter."""


class Directory(msgspec.Struct, frozen=True):
    """Where institutions and nodes are."""

    institutions: tuple[InstitutionEntry, ...]


class NumberToKeep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    issuer: str
    value: str


class PatientToKeep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    family_name: str
    given_name: str
    birth_date: datetime.date | None = None
    gender: Literal["F", "M", "O"] | None = None
    address: str = ""
    email: str = ""
    phone: str = ""
    insurance_numbers: tuple[NumberToKeep, ...] = ()


class PatientsToMerge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    duplicate_id: UUID
    duplicate_tag: str


class Knowing(Protocol):
    """Who knows patients and where institutions are: a toplevel, or an institution of its copy."""

    async def directory(self, account: Account) -> tuple[InstitutionEntry, ...]: ...

    async def search_patients(
        self, account: Account, search: str, *, limit: int, offset: int
    ) -> tuple[tuple[Patient, ...], int]: ...

    async def patient(self, account: Account, patient_id: PatientId) -> Patient: ...


def people_known(knowing: Knowing, access: Access, auditing: Auditing) -> Blueprint:
    """Patients and the directory, for reading."""
    blueprint = Blueprint("people known", __name__)

    @blueprint.get("/api/directory")
    async def directory() -> Response:
        return json_response(Directory(await knowing.directory(access.writer())))

    @blueprint.get("/api/patients")
    async def search() -> Response:
        account = access.writer()
        found, total = await knowing.search_patients(
            account,
            _search_wanted(),
            limit=integer_parameter("limit", 50),
            offset=integer_parameter("offset", 0),
        )
        await auditing.looked_at(access.actor(account), Action.SEARCH, Subject("patient"))
        return json_response({"patients": [_patient_json(patient) for patient in found], "total": total})

    @blueprint.get("/api/patients/<patient_id>")
    async def one(patient_id: str) -> Response:
        account = access.writer()
        found = await knowing.patient(account, PatientId(uuid_in_path(patient_id, "patient_id")))
        await auditing.looked_at(access.actor(account), Action.OPEN, patient_subject(found.id))
        return _tagged(found)

    return blueprint


def patients(records: PatientRecords, access: Access) -> Blueprint:
    """Patients are added, changed, merged and deleted, at the toplevel."""
    blueprint = Blueprint("patients", __name__)

    @blueprint.post("/api/patients")
    async def add() -> Response:
        account = access.writer()
        wanted = _particulars(await json_body(PatientToKeep))
        return _tagged(await records.add(account, wanted, access.actor(account)), 201)

    @blueprint.put("/api/patients/<patient_id>")
    async def change(patient_id: str) -> Response:
        account = access.writer()
        wanted = _particulars(await json_body(PatientToKeep))
        by = access.actor(account)
        return _tagged(await records.change(account, _patient_id(patient_id), wanted, _seen(), by))

    @blueprint.delete("/api/patients/<patient_id>")
    async def remove(patient_id: str) -> Response:
        account = access.writer()
        await records.remove(account, _patient_id(patient_id), _seen(), access.actor(account))
        return Response("", 204)

    @blueprint.post("/api/patients/<patient_id>/merge")
    async def merge(patient_id: str) -> Response:
        account = access.writer()
        wanted = await json_body(PatientsToMerge)
        merged = await records.merge(
            account,
            _patient_id(patient_id),
            PatientId(wanted.duplicate_id),
            seen=_seen(),
            duplicate_seen=_revision(wanted.duplicate_tag, "duplicate_tag"),
            by=access.actor(account),
        )
        return _tagged(merged)

    return blueprint


def _search_wanted() -> str:
    """What the current request searches for."""
    wanted = request.args.get("search", "")
    if len(wanted) > LONGEST_SEARCH:
        raise BadRequest(f"A search has at most {LONGEST_SEARCH} characters", parameter="search")
    return wanted


def _patient_id(text: str) -> PatientId:
    return PatientId(uuid_in_path(text, "patient_id"))


def _particulars(wanted: PatientToKeep) -> Particulars:
    numbers = tuple(InsuranceNumber(one.issuer, one.value) for one in wanted.insurance_numbers)
    return Particulars(
        wanted.family_name,
        wanted.given_name,
        wanted.birth_date,
        wanted.gender,
        wanted.address,
        wanted.email,
        wanted.phone,
        numbers,
    )


def _seen() -> int | None:
    """The revision that the request says it was made from (RFC 9110 §13.1.1); None if it says nothing."""
    tag = request.headers.get("If-Match", "").strip()
    return _revision(tag.removeprefix('"').removesuffix('"'), "If-Match") if tag else None


def _revision(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > _LONGEST_REVISION:
        raise BadRequest(f"{name} is no tag of a patient", parameter=name)
    return int(text)


_LONGEST_REVISION = 9


def _tagged(patient: Patient, status: int = 200) -> Response:
    response = json_response(_patient_json(patient), status)
    response.headers["ETag"] = f'"{patient.revision}"'
    return response


def _patient_json(patient: Patient) -> dict[str, object]:
    """A patient as docs/api.md has it."""
    return {
        "id": patient.id,
        "family_name": patient.family_name,
        "given_name": patient.given_name,
        "birth_date": patient.birth_date,
        "gender": patient.gender,
        "identities": patient.identities,
        "institution_ids": patient.institution_ids,
        "address": patient.address,
        "email": patient.email,
        "phone": patient.phone,
        "tag": str(patient.revision),
    }
