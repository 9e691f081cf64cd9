"""Which institutions a toplevel believes, and which nodes an institution: ``/api/enrolments``, for administrators."""

from __future__ import annotations

from uuid import UUID

import msgspec
from quart import Blueprint, Response

from appliance.domain.accounts import Right
from appliance.domain.audit import Action, Actor, Event, Subject
from appliance.domain.identifiers import InstitutionId
from appliance.http.access import Access
from appliance.http.bodies import json_body, json_response, uuid_in_path
from appliance.services.audit import Auditing
from appliance.services.enrolment import Enrolments


class TokenToMake(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    child_id: UUID | None = None


def enrolments(
    service: Enrolments, access: Access, auditing: Auditing, institution_id: InstitutionId | None = None
) -> Blueprint:
    """``institution_id`` is whose nodes these are; None at a toplevel."""
    path = f"/api/enrolments/{service.kind}s"
    right = Right.ENROL_INSTITUTIONS if service.kind == "institution" else Right.ENROL_NODES
    blueprint = Blueprint(f"{service.kind} enrolments", __name__)

    async def allowed(action: Action, child_id: UUID | None = None) -> Actor:
        """Who asks, if they may."""
        account = access.writer()
        by = access.actor(account)
        wanted = Event(by, action, Subject(service.kind, str(child_id or "")))
        await auditing.require(account, right, institution_id, wanted)
        return by

    @blueprint.get(path)
    async def children() -> Response:
        account = access.writer()
        account.require(right, at=institution_id)
        return json_response({"children": await service.children()})

    @blueprint.post(f"{path}/tokens")
    async def make_token() -> Response:
        wanted = await json_body(TokenToMake)
        token, ends_at = await service.make_token(
            await allowed(Action.MAKE_ENROLMENT_TOKEN, wanted.child_id), wanted.child_id
        )
        return json_response({"token": str(token), "ends_at": ends_at}, 201)

    @blueprint.delete(f"{path}/<child_id>")
    async def forget(child_id: str) -> Response:
        wanted = uuid_in_path(child_id, "child_id")
        await service.forget(wanted, await allowed(Action.END_ENROLMENT, wanted))
        return Response("", 204)

    return blueprint
