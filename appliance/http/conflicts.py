"""What came under the UID of an instance that is held and is other bytes, for those who run the node.

The list names no patient; the bytes do, so they are for who may remove DICOM at this institution.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec
from quart import Blueprint, Response

from appliance.domain.accounts import Right
from appliance.domain.audit import Action, Event, Subject
from appliance.domain.errors import BadRequest
from appliance.domain.identifiers import InstitutionId
from appliance.http import addresses
from appliance.http.access import Access
from appliance.http.bodies import integer_parameter, json_body, json_response
from appliance.http.parts import begun
from appliance.services.audit import Auditing
from appliance.services.conflicts import Conflicts, Resolution

_USUAL = 100
_MOST = 1000
_KEY = re.compile(r"[0-9a-f]{64}")
_ONE = "/api/conflicts/<instance>/<refused_key>"


class ResolutionToMake(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keep: Literal["held", "refused"]
    held_key: str
    """As it was seen."""


def conflicts(service: Conflicts, access: Access, auditing: Auditing, institution_id: InstitutionId) -> Blueprint:
    blueprint = Blueprint("conflicts", __name__)

    @blueprint.get("/api/conflicts")
    async def held_apart() -> Response:
        access.reader().require(Right.DELETE, at=institution_id)
        limit, offset = integer_parameter("limit", _USUAL), integer_parameter("offset", 0)
        if not 0 <= limit <= _MOST:
            raise BadRequest(f"limit is between 0 and {_MOST}", parameter="limit")
        if offset < 0:
            raise BadRequest("offset is 0 or more", parameter="offset")
        return json_response(await service.listed(limit=limit, offset=offset))

    @blueprint.get(_ONE)
    async def kept_apart(instance: str, refused_key: str) -> Response:
        account = access.writer()
        instance_uid, key = addresses.instance_uid(instance), _checked_key(refused_key, "refused_key")
        by = access.actor(account)
        wanted = Event(by, Action.RETRIEVE, Subject("instance", instance_uid))
        await auditing.require(account, Right.DELETE, institution_id, wanted)
        body = await begun(await service.kept_apart(instance_uid, key, by))
        response = Response(body, 200, content_type="application/dicom")
        response.headers["Cache-Control"] = "no-store"
        response.headers["Content-Disposition"] = f'attachment; filename="{key[:16]}.dcm"'
        return response

    @blueprint.post(f"{_ONE}/resolution")
    async def resolve(instance: str, refused_key: str) -> Response:
        account = access.writer()
        instance_uid, key = addresses.instance_uid(instance), _checked_key(refused_key, "refused_key")
        by = access.actor(account)
        wanted = Event(by, Action.RESOLVE_CONFLICT, Subject("instance", instance_uid))
        await auditing.require(account, Right.DELETE, institution_id, wanted)
        decided = await json_body(ResolutionToMake)
        held_key = _checked_key(decided.held_key, "held_key")
        await service.resolve(Resolution(instance_uid, key, held_key, decided.keep), by)
        return Response("", 204)

    return blueprint


def _checked_key(text: str, name: str) -> str:
    if not _KEY.fullmatch(text):
        raise BadRequest(f"{name} is no SHA-256 in lower hexadecimal", parameter=name)
    return text
