"""A study and its series as the viewer needs them, at a node."""

from __future__ import annotations

from quart import Blueprint, Response

from appliance.domain.accounts import Right
from appliance.domain.identifiers import InstitutionId, SeriesUid, StudyUid, checked_uid
from appliance.http.access import Access
from appliance.http.bodies import json_response
from appliance.services.catalogue import Catalogue


def studies(catalogue: Catalogue, access: Access, institution_id: InstitutionId) -> Blueprint:
    blueprint = Blueprint("studies", __name__)

    @blueprint.get("/api/studies/<study>")
    async def one(study: str) -> Response:
        access.reader().require(Right.VIEW)
        return json_response(await catalogue.study(StudyUid(checked_uid(study, "study"))))

    @blueprint.get("/api/studies/<study>/series/<series>")
    async def series_of(study: str, series: str) -> Response:
        access.reader().require(Right.VIEW)
        study_uid, series_uid = StudyUid(checked_uid(study, "study")), SeriesUid(checked_uid(series, "series"))
        return json_response(await catalogue.series(study_uid, series_uid))

    @blueprint.delete("/api/studies/<study>")
    async def delete(study: str) -> Response:
        access.writer().require(Right.DELETE, at=institution_id)
        await catalogue.delete_study(StudyUid(checked_uid(study, "study")))
        return Response("", 204)

    return blueprint
