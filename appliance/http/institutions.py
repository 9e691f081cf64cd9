"""The institutions of a toplevel, for administrators: ``/api/institutions``."""

from __future__ import annotations

import msgspec
from quart import Blueprint, Response

from appliance.domain.identifiers import InstitutionId
from appliance.domain.institutions import InstitutionState
from appliance.http.access import Access
from appliance.http.bodies import json_body, json_response, uuid_in_path
from appliance.http.lists import ListQuery
from appliance.services.institutions import SORTS, Institutions
from appliance.storage.institutions import InstitutionFilter


class Description(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str | None
    """null: as it calls itself."""
    address: str


def institutions(service: Institutions, access: Access) -> Blueprint:
    blueprint = Blueprint("institutions", __name__)

    @blueprint.get("/api/institutions")
    async def listed() -> Response:
        account = access.writer()
        query = ListQuery("search", "state", sorts=SORTS)
        wanted = InstitutionFilter(query.text("search"), query.choice("state", InstitutionState))
        found = await service.listed(account, wanted, query.part())
        return json_response({"institutions": found.rows, "total": found.total, "next": query.cursor(found.end)})

    @blueprint.put("/api/institutions/<institution_id>")
    async def describe(institution_id: str) -> Response:
        account = access.writer()
        wanted = await json_body(Description)
        this = _id(institution_id)
        described = await service.describe(account, access.actor(account), this, wanted.name, wanted.address)
        return json_response(described)

    @blueprint.delete("/api/institutions/<institution_id>")
    async def delete(institution_id: str) -> Response:
        account = access.writer()
        await service.delete(account, access.actor(account), _id(institution_id))
        return Response("", 204)

    return blueprint


def _id(text: str) -> InstitutionId:
    return InstitutionId(uuid_in_path(text, "institution_id"))
