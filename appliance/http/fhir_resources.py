"""Our patients, studies, reports and nodes as resources of FHIR R4 (4.0.1), in JSON.

References are relative: patients are at the toplevel, all else at the institution that was asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from typing import Any

from appliance import __version__
from appliance.domain.changes import NodeHere, StudyHeld
from appliance.domain.identifiers import PatientId
from appliance.domain.people import EVERYWHERE, Patient, PatientIdentity
from appliance.domain.reports import Report, Version, VersionState

Resource = dict[str, Any]  # Any: JSON

_GENDERS = {"F": "female", "M": "male", "O": "other"}
_DICOM_UID = "urn:dicom:uid"
_MODALITIES = "http://dicom.nema.org/resources/ontology/DCM"
_SECTIONS = "http://terminology.hl7.org/CodeSystem/v2-0074"
_CONNECTIONS = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"
_PARTS = ("description", "findings", "conclusion", "recommendation")
SEARCHES = {
    "Patient": {"name": "string", "birthdate": "date", "identifier": "token"},
    "ImagingStudy": {"patient": "reference"},
    "DiagnosticReport": {"patient": "reference"},
    "Endpoint": {},
}
"""What each resource is searched by, and of which type that is."""


def patient(of: Patient) -> Resource:
    names = {"family": of.family_name, "given": of.given_name.split()}
    telecom = [{"system": "phone", "value": of.phone}, {"system": "email", "value": of.email}]
    return _whole(
        {
            "resourceType": "Patient",
            "id": str(of.id),
            "meta": {"versionId": str(of.revision)},
            "active": True,
            "identifier": [_identifier(one) for one in of.identities],
            "name": [{name: value for name, value in names.items() if value}],
            "gender": _GENDERS[of.gender] if of.gender else "unknown",
            "birthDate": of.birth_date.isoformat() if of.birth_date else None,
            "telecom": [one for one in telecom if one["value"]],
            "address": [{"text": of.address}] if of.address else [],
        }
    )


def _identifier(identity: PatientIdentity) -> Resource:
    known_at = None if identity.institution_id == EVERYWHERE else f"urn:uuid:{identity.institution_id}"
    assigner = {"display": identity.issuer} if identity.issuer else None
    return _whole({"system": known_at, "value": identity.value, "assigner": assigner})


def imaging_study(patient_id: PatientId, held: Sequence[StudyHeld]) -> Resource:
    """A study, as the nodes have it that hold it; the one that holds most of it says what it is."""
    of = max(held, key=lambda one: one.instance_count)
    return _whole(
        {
            "resourceType": "ImagingStudy",
            "id": of.study_uid,
            "identifier": [{"system": _DICOM_UID, "value": f"urn:oid:{of.study_uid}"}],
            "status": "available",
            "modality": [{"system": _MODALITIES, "code": modality} for modality in of.modalities],
            "subject": {"reference": f"Patient/{patient_id}"},
            "started": of.date,
            "endpoint": [{"reference": f"Endpoint/{one.node_id}"} for one in held],
            "numberOfSeries": of.series_count,
            "numberOfInstances": of.instance_count,
            "description": of.description or None,
        }
    )


def diagnostic_report(of: Report, version: Version, base_url: str) -> Resource:
    """A version that is no draft."""
    content, signature = version.content, version.signature
    writer = {"display": version.author.name}
    print_path = f"/api/reports/{of.id}/versions/{version.number}/print"
    return _whole(
        {
            "resourceType": "DiagnosticReport",
            "id": str(of.id),
            "meta": {"versionId": str(version.number)},
            "text": {"status": "generated", "div": _narrative(version)},
            "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{of.id}"}],
            "status": "amended" if version.number > 1 else "final",
            "category": [{"coding": [{"system": _SECTIONS, "code": "RAD"}]}],
            "code": {"text": content.record_type or "Report"},
            "subject": {"reference": f"Patient/{of.patient_id}"},
            "effectiveDateTime": content.date.isoformat() if content.date else None,
            "issued": _instant(signature.at if signature else version.changed_at),
            "performer": [writer],
            "resultsInterpreter": [writer] if version.state is VersionState.SIGNED else [],
            "imagingStudy": [{"reference": f"ImagingStudy/{content.study_uid}"}] if content.study_uid else [],
            "conclusion": content.text.conclusion or None,
            "presentedForm": [{"contentType": "application/pdf", "url": f"{base_url.rstrip('/')}{print_path}"}],
        }
    )


def _narrative(version: Version) -> str:
    parts = [getattr(version.content.text, part).strip() for part in _PARTS]
    paragraphs = "".join(f"<p>{escape(line)}</p>" for part in parts for line in part.splitlines() if line.strip())
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{paragraphs or "<p/>"}</div>'


def endpoint(node: NodeHere) -> Resource:
    """The DICOMweb doors of a node."""
    return {
        "resourceType": "Endpoint",
        "id": str(node.node_id),
        "status": "active",
        "connectionType": {"system": _CONNECTIONS, "code": "dicom-wado-rs"},
        "name": node.name,
        "payloadType": [{"text": "DICOM"}],
        "payloadMimeType": ["application/dicom"],
        "address": f"{node.base_url.rstrip('/')}/dicom-web",
    }


def bundle(resources: Iterable[Resource], total: int, base_url: str) -> Resource:
    """What a search found."""
    root = f"{base_url.rstrip('/')}/fhir"
    entries = [
        {"fullUrl": f"{root}/{one['resourceType']}/{one['id']}", "resource": one, "search": {"mode": "match"}}
        for one in resources
    ]
    return _whole({"resourceType": "Bundle", "type": "searchset", "total": total, "entry": entries})


def capability_statement(types: Sequence[str], base_url: str) -> Resource:
    """What is answered here."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-22",
        "kind": "instance",
        "software": {"name": "Appliance", "version": __version__},
        "implementation": {"description": "Appliance, read only", "url": f"{base_url.rstrip('/')}/fhir"},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [{"mode": "server", "resource": [_capability(kind) for kind in types]}],
    }


def _capability(kind: str) -> Resource:
    parameters = [{"name": name, "type": type_} for name, type_ in SEARCHES[kind].items()]
    interactions = [{"code": "read"}, {"code": "search-type"}]
    return _whole({"type": kind, "interaction": interactions, "searchParam": parameters})


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def _whole(resource: Resource) -> Resource:
    """FHIR has no empty arrays and no nulls (R4 §2.6.2, JSON)."""
    return {name: value for name, value in resource.items() if value is not None and value not in ([], [{}])}
