"""A study, or a series of it, taken out as a ZIP with a DICOMDIR: asked for by POST, fetched once by GET."""

from __future__ import annotations

import msgspec
from quart import Blueprint, Response, request

from appliance.domain.accounts import Account, Right
from appliance.domain.anonymity import Dates
from appliance.domain.audit import Action, Event, dicom_subject
from appliance.domain.identifiers import InstitutionId
from appliance.http import addresses
from appliance.http.access import Access
from appliance.http.bodies import json_body, json_response, uuid_in_path
from appliance.http.parts import begun
from appliance.services.audit import Auditing
from appliance.services.exports import Export, Exports, SeriesLeftOut, State
from appliance.services.releases import HeldBack

_PATH = "/api/exports"
_ONE = f"{_PATH}/<export_id>"


class ExportToMake(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    study_uid: str
    series_uid: str | None = None


class AnonymisedToMake(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    study_uid: str
    series_uid: str | None = None
    dates: Dates = Dates.REMOVED


class ExportAnswer(msgspec.Struct, frozen=True):
    id: str
    state: State
    instances: int
    size_bytes: int
    """As the objects are stored."""
    instances_done: int
    bytes_done: int
    is_anonymised: bool
    left_out: tuple[SeriesLeftOut, ...]
    failure: str


def exports(
    service: Exports, access: Access, auditing: Auditing, held_back: HeldBack, institution_id: InstitutionId
) -> Blueprint:
    blueprint = Blueprint("exports", __name__)

    @blueprint.post(_PATH)
    async def export() -> Response:
        account = access.writer()
        account.require(Right.VIEW)
        wanted = await json_body(ExportToMake)
        return await made(account, wanted.study_uid, wanted.series_uid, None)

    @blueprint.post(f"{_PATH}/anonymised")
    async def anonymise() -> Response:
        account = access.writer()
        wanted = await json_body(AnonymisedToMake)
        subject = dicom_subject(addresses.study_uid(wanted.study_uid))
        event = Event(access.actor(account), Action.ANONYMISE, subject)
        await auditing.require(account, Right.ANONYMISE, institution_id, event)
        return await made(account, wanted.study_uid, wanted.series_uid, wanted.dates)

    async def made(account: Account, study: str, series: str | None, anonymous: Dates | None) -> Response:
        study_uid = addresses.study_uid(study)
        series_uid = addresses.series_uid(series) if series is not None else None
        await held_back.check(account, study_uid, series_uid)
        return json_response(_answer(await service.make(account, study_uid, series_uid, anonymous)), 201)

    @blueprint.get(_ONE)
    async def progress(export_id: str) -> Response:
        return json_response(_answer(one_of(access.reader(), export_id)))

    @blueprint.delete(_ONE)
    async def stop(export_id: str) -> Response:
        service.stop(one_of(access.writer(), export_id))
        return Response("", 204)

    @blueprint.get(f"{_ONE}/media")
    async def media(export_id: str) -> Response:
        account = access.reader()
        export = one_of(account, export_id)
        headers = {
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="dicom-{str(export.id)[:8]}.zip"',
        }
        if request.method == "HEAD":
            return Response("", 200, headers=headers, content_type="application/zip")
        pieces = service.begin(export)
        action = Action.EXPORT if export.pseudonymity is None else Action.ANONYMISE
        reason = "" if export.pseudonymity is None else export.pseudonymity.dates
        subject = dicom_subject(export.study_uid, export.series_uid)
        count = len(export.held)
        event = Event(
            access.actor(account), action, subject, reason=reason, instances=count, size_bytes=export.size_bytes
        )
        try:
            await auditing.put(event)
        except BaseException:
            service.stop(export)
            raise
        return Response(await begun(pieces), 200, headers=headers, content_type="application/zip")

    def one_of(account: Account, export_id: str) -> Export:
        account.require(Right.VIEW)
        return service.of(account, uuid_in_path(export_id, "export"))

    return blueprint


def _answer(export: Export) -> ExportAnswer:
    return ExportAnswer(
        str(export.id),
        export.state,
        len(export.held),
        export.size_bytes,
        export.instances_done,
        export.bytes_done,
        export.pseudonymity is not None,
        export.left_out,
        export.failure,
    )
