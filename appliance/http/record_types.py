"""Of which types records may be: ``/api/record-types`` of the toplevel, ``/api/record-types/here`` of an institution."""

from __future__ import annotations

import msgspec
from quart import Blueprint, Response

from appliance.domain.changes import RecordType
from appliance.http.access import Access
from appliance.http.bodies import json_body, json_response, uuid_in_path
from appliance.http.lists import ListQuery
from appliance.services.record_types import SORTS, RecordTypesDefined, RecordTypesKnown
from appliance.storage.record_types import RecordTypeFilter


class RecordTypeToCreate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class RecordTypeToKeep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    is_active: bool


def record_types(service: RecordTypesDefined, access: Access) -> Blueprint:
    blueprint = Blueprint("record types", __name__)

    @blueprint.get("/api/record-types")
    async def listed() -> Response:
        access.writer()
        query = ListQuery("search", "is_active", sorts=SORTS)
        found = await service.listed(RecordTypeFilter(query.text("search"), query.flag("is_active")), query.part())
        return json_response({"record_types": found.rows, "total": found.total, "next": query.cursor(found.end)})

    @blueprint.post("/api/record-types")
    async def create() -> Response:
        account = access.writer()
        wanted = await json_body(RecordTypeToCreate)
        return json_response(await service.create(account, access.actor(account), wanted.name), 201)

    @blueprint.put("/api/record-types/<type_id>")
    async def change(type_id: str) -> Response:
        account = access.writer()
        wanted = await json_body(RecordTypeToKeep)
        changed = RecordType(uuid_in_path(type_id, "type_id"), wanted.name, wanted.is_active)
        return json_response(await service.change(account, access.actor(account), changed))

    return blueprint


def record_types_here(service: RecordTypesKnown, access: Access) -> Blueprint:
    blueprint = Blueprint("record types here", __name__)

    @blueprint.get("/api/record-types/here")
    async def listed() -> Response:
        access.reader()
        return json_response({"record_types": await service.listed()})

    return blueprint
