"""FHIR R4, to be read: ``/fhir``. Patients are at the toplevel; studies, reports and nodes at each institution."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote

from quart import Blueprint, Response, request

from appliance.domain.accounts import Right
from appliance.domain.audit import Action, dicom_subject, patient_subject
from appliance.domain.changes import StudyHeld
from appliance.domain.errors import BadRequest, NotFound
from appliance.domain.identifiers import PatientId, ReportId
from appliance.http import addresses, fhir_resources
from appliance.http.access import Access
from appliance.http.bodies import json_response, uuid_in_path
from appliance.http.fhir_resources import SEARCHES, Resource
from appliance.services.audit import Auditing
from appliance.services.institution import Institution
from appliance.services.reports import Reports
from appliance.services.toplevel import Toplevel

MEDIA_TYPE = "application/fhir+json; fhirVersion=4.0"
OF_TOPLEVEL = ("Patient",)
OF_INSTITUTION = ("ImagingStudy", "DiagnosticReport", "Endpoint")
_MOST_FOUND = 200


def fhir_metadata(types: Sequence[str], base_url: str) -> Blueprint:
    blueprint = Blueprint("fhir metadata", __name__)

    @blueprint.get("/fhir/metadata")
    async def metadata() -> Response:
        return _fhir(fhir_resources.capability_statement(types, base_url))

    return blueprint


def fhir_of_toplevel(toplevel: Toplevel, access: Access, auditing: Auditing, base_url: str) -> Blueprint:
    blueprint = Blueprint("fhir patients", __name__)

    @blueprint.get("/fhir/Patient")
    async def patients() -> Response:
        account = access.reader()
        account.require(Right.VIEW)
        search = _search_text()
        found, total = await toplevel.search_patients(account, search, limit=_MOST_FOUND, offset=0)
        return _fhir(fhir_resources.bundle(map(fhir_resources.patient, found), total, base_url))

    @blueprint.get("/fhir/Patient/<patient_id>")
    async def patient(patient_id: str) -> Response:
        account = access.reader()
        found = await toplevel.patient(account, PatientId(uuid_in_path(patient_id, "patient_id")))
        await auditing.looked_at(access.actor(account), Action.OPEN, patient_subject(found.id))
        return _fhir(fhir_resources.patient(found))

    return blueprint


def fhir_of_institution(
    institution: Institution, reports: Reports, access: Access, auditing: Auditing, base_url: str
) -> Blueprint:
    blueprint = Blueprint("fhir records", __name__)

    @blueprint.get("/fhir/ImagingStudy")
    async def studies() -> Response:
        account = access.reader()
        account.require(Right.VIEW)
        patient_id = _patient_searched()
        found = await institution.studies(account, patient_id)
        await auditing.looked_at(access.actor(account), Action.OPEN, patient_subject(patient_id))
        by_uid: dict[str, list[StudyHeld]] = {}
        for held in found:
            by_uid.setdefault(held.study_uid, []).append(held)
        resources = [fhir_resources.imaging_study(patient_id, held) for held in by_uid.values()]
        return _fhir(fhir_resources.bundle(resources, len(resources), base_url))

    @blueprint.get("/fhir/ImagingStudy/<study>")
    async def study(study: str) -> Response:
        account = access.reader()
        study_uid = addresses.study_uid(study)
        patient_id, held = await institution.study(account, study_uid)
        await auditing.looked_at(access.actor(account), Action.OPEN, dicom_subject(study_uid))
        return _fhir(fhir_resources.imaging_study(patient_id, held))

    @blueprint.get("/fhir/DiagnosticReport")
    async def diagnostic_reports() -> Response:
        account = access.reader()
        account.require(Right.VIEW)
        found = await reports.of_patient(account, _patient_searched(), access.actor(account))
        finals = [(one, one.final) for one in found]
        resources = [fhir_resources.diagnostic_report(one, final, base_url) for one, final in finals if final]
        return _fhir(fhir_resources.bundle(resources, len(resources), base_url))

    @blueprint.get("/fhir/DiagnosticReport/<report_id>")
    async def diagnostic_report(report_id: str) -> Response:
        account = access.reader()
        found = await reports.one(account, ReportId(uuid_in_path(report_id, "report_id")), access.actor(account))
        if found.final is None:
            raise NotFound("There is no such report", key="no-such-report")
        return _fhir(fhir_resources.diagnostic_report(found, found.final, base_url))

    @blueprint.get("/fhir/Endpoint")
    async def endpoints() -> Response:
        nodes = await institution.nodes(access.reader())
        return _fhir(fhir_resources.bundle(map(fhir_resources.endpoint, nodes), len(nodes), base_url))

    @blueprint.get("/fhir/Endpoint/<node_id>")
    async def endpoint(node_id: str) -> Response:
        wanted = uuid_in_path(node_id, "node_id")
        nodes = await institution.nodes(access.reader())
        found = next((node for node in nodes if node.node_id == wanted), None)
        if found is None:
            raise NotFound("There is no such node", key="no-such-node")
        return _fhir(fhir_resources.endpoint(found))

    return blueprint


def _search_text() -> str:
    """The words of a search for patients. BadRequest where nothing is asked for, which would be everybody."""
    _refuse_unknown(SEARCHES["Patient"])
    words = [value for name, value in request.args.items(multi=True) if name != "identifier"]
    words += [value.rpartition("|")[2] for value in request.args.getlist("identifier")]
    text = " ".join(words).strip()
    if not text:
        raise BadRequest("A search for patients names one of name, birthdate, identifier", key="no-filter")
    return text


def _patient_searched() -> PatientId:
    _refuse_unknown(_BY_PATIENT)
    return PatientId(uuid_in_path(request.args.get("patient", "").removeprefix("Patient/"), "patient"))


_BY_PATIENT = ("patient",)


def _refuse_unknown(known: Iterable[str]) -> None:
    """What would be passed over would widen the search (R4 §3.1.0.1.3 leaves it to the server)."""
    unknown = sorted(set(request.args) - set(known))
    if unknown:
        raise BadRequest(f"{quote(unknown[0])} cannot be searched by here", parameter=quote(unknown[0]))


def _fhir(resource: Resource) -> Response:
    response = json_response(resource)
    response.headers["Content-Type"] = MEDIA_TYPE
    return response
