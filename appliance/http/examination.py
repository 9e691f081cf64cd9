"""How the machine is, on one page, for those who run it: ``/api/examination``, the same that ``appliance doctor`` prints."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from quart import Blueprint, Response

from appliance.domain.accounts import Right
from appliance.http.access import Access
from appliance.http.answers import ExaminationOfMachine
from appliance.http.bodies import json_response
from appliance.services.doctor import Examination


def examination(examine: Callable[[], Awaitable[Examination]], access: Access) -> Blueprint:
    blueprint = Blueprint("examination", __name__)

    @blueprint.get("/api/examination")
    async def how_it_is() -> Response:
        access.writer().require(Right.OPERATE)
        found = await examine()
        return json_response(ExaminationOfMachine(found.at, found.verdict, found.findings))

    return blueprint
