"""Reports, at an institution: read, written, signed, amended and printed."""

from __future__ import annotations

import datetime
from dataclasses import fields
from uuid import UUID

import msgspec
from quart import Blueprint, Response, request

from appliance.domain.errors import BadRequest
from appliance.domain.identifiers import (
    InstanceUid,
    InstitutionId,
    NodeId,
    PatientId,
    ReportId,
    SeriesUid,
    StudyUid,
    checked_uid,
)
from appliance.domain.reports import ImageLink, Report, ReportContent, ReportText, Signature, Version
from appliance.http.access import Access
from appliance.http.bodies import json_body, json_response, uuid_in_path
from appliance.services.reports import Draft, Reports, Seen


class ImageToAttach(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    institution_id: UUID
    node_id: UUID
    study_uid: str
    series_uid: str
    instance_uid: str | None = None
    frame: int | None = None


class DraftToKeep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    patient_id: UUID
    description: str = ""
    findings: str = ""
    conclusion: str = ""
    recommendation: str = ""
    record_type: str = ""
    date: datetime.date | None = None
    study_uid: str | None = None
    images: tuple[ImageToAttach, ...] = ()
    reason: str = ""


class GlassToBreak(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str


def reports(service: Reports, access: Access) -> Blueprint:
    blueprint = Blueprint("reports", __name__)

    @blueprint.get("/api/patients/<patient_id>/reports")
    async def of_patient(patient_id: str) -> Response:
        account = access.reader()
        found = await service.of_patient(account, _patient_id(patient_id), access.actor(account))
        return json_response({"reports": [_report(service, one) for one in found]})

    @blueprint.post("/api/patients/<patient_id>/reports/access")
    async def break_glass(patient_id: str) -> Response:
        account = access.writer()
        wanted = await json_body(GlassToBreak)
        until = await service.break_glass(account, _patient_id(patient_id), wanted.reason, access.actor(account))
        return json_response({"until": until})

    @blueprint.get("/api/reports/<report_id>")
    async def one(report_id: str) -> Response:
        account = access.reader()
        found = await service.one(account, _report_id(report_id), access.actor(account))
        return _tagged(service, found)

    @blueprint.put("/api/reports/<report_id>/draft")
    async def keep_draft(report_id: str) -> Response:
        account = access.writer()
        wanted = await json_body(DraftToKeep)
        draft = Draft(_report_id(report_id), PatientId(wanted.patient_id), _content(wanted))
        made_from = seen()
        kept = await service.keep_draft(account, draft, made_from, access.actor(account))
        return _tagged(service, kept, 201 if made_from == Seen(None) else 200)

    @blueprint.delete("/api/reports/<report_id>/draft")
    async def discard_draft(report_id: str) -> Response:
        account = access.writer()
        await service.discard_draft(account, _report_id(report_id), seen(), access.actor(account))
        return Response("", 204)

    @blueprint.post("/api/reports/<report_id>/signature")
    async def sign(report_id: str) -> Response:
        account = access.writer()
        signed = await service.sign(account, _report_id(report_id), seen(), access.actor(account))
        return _tagged(service, signed)

    @blueprint.get("/api/reports/<report_id>/versions/<number>/print")
    async def printed(report_id: str, number: str) -> Response:
        account = access.reader()
        if not (number.isascii() and number.isdigit()):
            raise BadRequest("number is not the number of a version", parameter="number")
        pdf = await service.printed(account, _report_id(report_id), int(number), _languages(), access.actor(account))
        response = Response(pdf, 200, content_type="application/pdf")
        response.headers["Cache-Control"] = "no-store"
        response.headers["Content-Disposition"] = f'inline; filename="report-{report_id}-{number}.pdf"'
        return response

    return blueprint


def seen() -> Seen | None:
    """What the request says that it was made from (RFC 9110 §13.1.1, §13.1.2); None if it says nothing."""
    if request.headers.get("If-None-Match", "").strip() == "*":
        return Seen(None)
    tag = request.headers.get("If-Match", "").strip()
    if not tag:
        return None
    if len(tag) < 3 or not tag.startswith('"') or not tag.endswith('"') or '"' in tag[1:-1]:
        raise BadRequest("If-Match is not one strong entity tag", parameter="If-Match")
    return Seen(tag[1:-1])


def _languages() -> tuple[str, ...]:
    """What is asked for by name, else what the browser prefers (RFC 9110 §12.5.4), without regions."""
    named = request.args.get("language")
    wanted = [named] if named else list(request.accept_languages.values())
    return tuple(language.partition("-")[0].lower() for language in wanted)


def _tagged(service: Reports, report: Report, status: int = 200) -> Response:
    response = json_response(_report(service, report), status)
    response.headers["ETag"] = f'"{report.last.tag}"'
    return response


def _content(wanted: DraftToKeep) -> ReportContent:
    return ReportContent(
        ReportText(wanted.description, wanted.findings, wanted.conclusion, wanted.recommendation),
        wanted.record_type,
        wanted.date,
        StudyUid(checked_uid(wanted.study_uid, "study_uid")) if wanted.study_uid else None,
        tuple(map(_image, wanted.images)),
        wanted.reason,
    )


def _image(image: ImageToAttach) -> ImageLink:
    return ImageLink(
        InstitutionId(image.institution_id),
        NodeId(image.node_id),
        StudyUid(checked_uid(image.study_uid, "study_uid")),
        SeriesUid(checked_uid(image.series_uid, "series_uid")),
        InstanceUid(checked_uid(image.instance_uid, "instance_uid")) if image.instance_uid else None,
        image.frame,
    )


def _patient_id(text: str) -> PatientId:
    return PatientId(uuid_in_path(text, "patient_id"))


def _report_id(text: str) -> ReportId:
    return ReportId(uuid_in_path(text, "report_id"))


def _report(service: Reports, report: Report) -> dict[str, object]:
    versions = [_version(service, report, version) for version in report.versions]
    return {"id": report.id, "patient_id": report.patient_id, "tag": report.last.tag, "versions": versions}


def _version(service: Reports, report: Report, version: Version) -> dict[str, object]:
    content, signature = version.content, version.signature
    return {
        "number": version.number,
        "state": version.state,
        "author": version.author,
        "begun_at": version.begun_at,
        "changed_at": version.changed_at,
        **{field.name: getattr(content.text, field.name) for field in fields(ReportText)},
        "record_type": content.record_type,
        "date": content.date,
        "study_uid": content.study_uid,
        "images": content.images,
        "reason": content.reason,
        "signature": _signature(signature, service.is_intact(report, version)) if signature else None,
    }


def _signature(signature: Signature, is_intact: bool) -> dict[str, object]:
    return {
        "by": signature.by,
        "at": signature.at,
        "patient": signature.patient,
        "institution_name": signature.institution_name,
        "sha256": signature.sha256,
        "is_intact": is_intact,
    }
