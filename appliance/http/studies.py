"""A study and its series as the viewer needs them, at a node."""

from __future__ import annotations

import msgspec
from quart import Blueprint, Response, request

from appliance.domain.accounts import Right
from appliance.domain.audit import Action
from appliance.http import addresses
from appliance.http.access import Access
from appliance.http.bodies import compressed_json_response
from appliance.services.audit import Auditing
from appliance.services.catalogue import Catalogue, SeriesDetail, StudyDetail
from appliance.services.releases import HeldBack

_FIRST = "first"
"""Of the series of a study, by number, the first that has pictures: what a viewer opens."""


class OpenedStudy(msgspec.Struct, frozen=True):
    """A study and one of its series, which saves whoever opens it a round trip."""

    study: StudyDetail
    opened: SeriesDetail | None
    """None where none of its series has pictures."""


def studies(catalogue: Catalogue, access: Access, auditing: Auditing, held_back: HeldBack) -> Blueprint:
    blueprint = Blueprint("studies", __name__)

    @blueprint.get("/api/studies/<study>")
    async def one(study: str) -> Response:
        study_uid = addresses.study_uid(study)
        account = access.viewer(study_uid)
        account.require(Right.VIEW)
        wanted = request.args.get("series")
        named = addresses.series_uid(wanted) if wanted and wanted != _FIRST else None
        await held_back.check(account, study_uid, named)
        found = await catalogue.study(study_uid)
        series_uid = named or next((one.series_uid for one in found.series if one.drawable), None)
        opened = await catalogue.series(study_uid, series_uid) if wanted and series_uid else None
        await auditing.looked(access.actor(account), Action.OPEN, study_uid)
        return await compressed_json_response(OpenedStudy(found, opened) if wanted else found)

    @blueprint.get("/api/studies/<study>/series/<series>")
    async def series_of(study: str, series: str) -> Response:
        study_uid, series_uid = addresses.uids_of_series(study, series)
        account = access.viewer(study_uid)
        account.require(Right.VIEW)
        await held_back.check(account, study_uid, series_uid)
        found = await catalogue.series(study_uid, series_uid)
        await auditing.looked(access.actor(account), Action.OPEN, study_uid)
        return await compressed_json_response(found)

    return blueprint
