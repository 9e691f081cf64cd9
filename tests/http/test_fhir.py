"""FHIR R4: what is answered is checked by models of R4 that are not ours, and says what our own resources say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from fhirclient.models.bundle import Bundle
from fhirclient.models.capabilitystatement import CapabilityStatement
from fhirclient.models.diagnosticreport import DiagnosticReport
from fhirclient.models.endpoint import Endpoint
from fhirclient.models.fhirabstractbase import FHIRValidationError
from fhirclient.models.imagingstudy import ImagingStudy
from fhirclient.models.patient import Patient

from appliance.domain.accounts import Role
from tests.http.central import BASE, CLINIC, NODE, client_of, deliver_a_study, settings_in
from tests.http.test_reports import REPORT, token


@dataclass
class Server:
    client: httpx.AsyncClient
    patient: str

    async def read(self, path: str) -> Any:
        answer = await self.client.get(f"/fhir/{path}")
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"].startswith("application/fhir+json")
        return answer.json()

    async def found(self, path: str) -> list[Any]:
        """The resources of a search."""
        bundle = Bundle(await self.read(path), strict=True)
        assert bundle.type == "searchset"
        return [entry.resource.as_json() for entry in bundle.entry or []]


@pytest.fixture
async def server(folder: Path, node_key: Path) -> AsyncIterator[Server]:
    async with client_of(settings_in(folder)) as client:
        client.headers.update(token(folder, UUID(int=50), "ana", Role.PHYSICIAN, CLINIC))
        await deliver_a_study(client, node_key)
        found: list[Any] = []
        async with asyncio.timeout(60):
            while not found:
                found = (await client.get("/api/patients", params={"search": "muller"})).json()["patients"]
            patient, studies = found[0]["id"], []
            while not studies:  # the institution hears whose they are a moment after the toplevel has said so
                studies = (await client.get(f"/api/patients/{patient}/studies")).json()["studies"]
        yield Server(client, patient)


async def sign_a_report(server: Server, *, begin: str = "*", **more: str) -> str:
    """The tag of the signed version."""
    condition = {"If-None-Match": "*"} if begin == "*" else {"If-Match": begin}
    draft = {
        "patient_id": server.patient,
        "description": "CT <chest>",
        "findings": "No nodule & no effusion.",
        "conclusion": "Normal.",
        "date": "2026-11-20",
        "study_uid": "1.2.3",
        **more,
    }
    path = f"/api/reports/{REPORT}"
    kept = await server.client.put(f"{path}/draft", headers=condition, json=draft)
    signed = await server.client.post(f"{path}/signature", headers={"If-Match": kept.headers["ETag"]})
    assert signed.status_code == 200, signed.text
    return signed.headers["ETag"]


async def test_a_patient_is_read_and_found(server: Server) -> None:
    read = await server.read(f"Patient/{server.patient}")

    patient = Patient(read, strict=True)
    assert (patient.name[0].family, patient.name[0].given, patient.gender) == ("Müller", ["Anna"], "female")
    assert patient.birthDate.isostring == "1970-01-31"
    assert (patient.identifier[0].value, patient.identifier[0].system) == ("77", f"urn:uuid:{CLINIC}")
    for search in ("name=mull", "birthdate=1970-01-31", "identifier=|77", "name=anna&birthdate=1970"):
        assert await server.found(f"Patient?{search}") == [read]
    assert await server.found("Patient?name=nobody") == []


async def test_a_study_is_read_and_found_and_names_its_endpoint(server: Server) -> None:
    read = await server.read("ImagingStudy/1.2.3")

    study = ImagingStudy(read, strict=True)
    assert study.identifier[0].value == "urn:oid:1.2.3"
    assert study.subject.reference == f"Patient/{server.patient}"
    assert (study.numberOfInstances, study.modality[0].code) == (160, "CT")
    assert await server.found(f"ImagingStudy?patient={server.patient}") == [read]
    assert await server.found(f"ImagingStudy?patient=Patient/{server.patient}") == [read]
    endpoint = Endpoint(await server.read(study.endpoint[0].reference), strict=True)
    assert endpoint.address == f"{BASE}/dicom-web"
    assert [one["id"] for one in await server.found("Endpoint")] == [str(NODE)]


async def test_a_signed_report_is_read_and_found_and_a_draft_is_not(server: Server) -> None:
    tag = await sign_a_report(server)

    read = await server.read(f"DiagnosticReport/{REPORT}")
    report = DiagnosticReport(read, strict=True)
    assert (report.status, report.conclusion, report.meta.versionId) == ("final", "Normal.", "1")
    assert "No nodule &amp; no effusion." in report.text.div
    assert "CT &lt;chest&gt;" in report.text.div
    assert report.imagingStudy[0].reference == "ImagingStudy/1.2.3"
    assert (await server.client.get(report.presentedForm[0].url)).content.startswith(b"%PDF")
    assert await server.found(f"DiagnosticReport?patient={server.patient}") == [read]

    draft = {"patient_id": server.patient, "description": "CT", "findings": "A nodule."}
    await server.client.put(f"/api/reports/{REPORT}/draft", headers={"If-Match": tag}, json=draft)
    assert await server.read(f"DiagnosticReport/{REPORT}") == read


async def test_an_amended_report_is_the_newest_version(server: Server) -> None:
    tag = await sign_a_report(server)
    await sign_a_report(server, begin=tag, conclusion="A nodule.", reason="Overlooked")

    report = DiagnosticReport(await server.read(f"DiagnosticReport/{REPORT}"), strict=True)

    assert (report.status, report.conclusion, report.meta.versionId) == ("amended", "A nodule.", "2")


async def test_what_is_answered_is_said_to_everybody(server: Server) -> None:
    del server.client.headers["Authorization"]

    statement = CapabilityStatement(await server.read("metadata"), strict=True)

    assert statement.fhirVersion == "4.0.1"
    of = {one.type: [each.code for each in one.interaction] for one in statement.rest[0].resource}
    assert set(of) == {"Patient", "ImagingStudy", "DiagnosticReport", "Endpoint"}
    assert all(codes == ["read", "search-type"] for codes in of.values())


@pytest.mark.parametrize(
    "path",
    [
        "Patient",
        "Patient?name=",
        "Patient?identifier=|",
        "Patient?family=x",
        "ImagingStudy",
        "ImagingStudy?patient=",
        "DiagnosticReport?patient=*",
        "DiagnosticReport?subject=x",
    ],
)
async def test_a_search_without_a_filter_that_is_known_finds_nobody(server: Server, path: str) -> None:
    assert (await server.client.get(f"/fhir/{path}")).status_code == 400


async def test_the_validator_refuses_what_is_no_r4() -> None:
    with pytest.raises(FHIRValidationError):
        DiagnosticReport({"resourceType": "DiagnosticReport", "status": "final"}, strict=True)
