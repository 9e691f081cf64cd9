"""Links by which a study is shown to somebody without an account, at the toplevel: made, listed, ended, opened."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from quart import Blueprint, Response, request

from appliance.domain.accounts import Right
from appliance.domain.identifiers import InstitutionId, StudyUid
from appliance.domain.shares import Share, ShareState
from appliance.http import addresses
from appliance.http.access import Access
from appliance.http.bodies import json_body, json_response, uuid_in_path
from appliance.services.shares import Shares
from appliance.storage.toplevel import InstitutionEntry

_PATH = "/api/shares"


class ShareToMake(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    study_uid: str
    hours: int
    recipient: str = ""


class ShareToOpen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    secret: str
    pin: str


class ShareAnswer(msgspec.Struct, frozen=True):
    id: UUID
    study_uid: StudyUid
    institution_id: InstitutionId
    recipient: str
    made_at: datetime
    ends_at: datetime
    state: ShareState
    opened: int
    opened_at: datetime | None


class SharesAnswer(msgspec.Struct, frozen=True):
    shares: tuple[ShareAnswer, ...]


class NewShareAnswer(msgspec.Struct, frozen=True):
    share: ShareAnswer
    secret: str
    pin: str


class OpenedAnswer(msgspec.Struct, frozen=True):
    access_token: str
    expires_in_s: int
    study_uid: StudyUid
    ends_at: datetime
    institution: InstitutionEntry | None


def shares(service: Shares, access: Access) -> Blueprint:
    blueprint = Blueprint("shares", __name__)

    @blueprint.post(_PATH)
    async def make() -> Response:
        account = access.writer()
        account.require(Right.SHARE)
        wanted = await json_body(ShareToMake)
        study_uid = addresses.study_uid(wanted.study_uid)
        made = await service.make(account, study_uid, wanted.hours, wanted.recipient, access.actor(account))
        return json_response(NewShareAnswer(_answer(made.share), made.secret, made.pin), 201)

    @blueprint.get(_PATH)
    async def made_by() -> Response:
        account = access.reader()
        account.require(Right.SHARE)
        return json_response(SharesAnswer(tuple(map(_answer, await service.made_by(account)))))

    @blueprint.delete(f"{_PATH}/<share_id>")
    async def end(share_id: str) -> Response:
        account = access.writer()
        account.require(Right.SHARE)
        await service.revoke(account, uuid_in_path(share_id, "share_id"), access.actor(account))
        return Response("", 204)

    @blueprint.post(f"{_PATH}/opening")
    async def opening() -> Response:
        wanted = await json_body(ShareToOpen)
        opened = await service.open(wanted.secret, wanted.pin, request.remote_addr or "")
        token, share = opened.access_token, opened.share
        response = json_response(
            OpenedAnswer(token.text, token.expires_in_s, share.study_uid, share.ends_at, opened.institution)
        )
        access.give_cookie(response, token)
        return response

    return blueprint


def _answer(share: Share) -> ShareAnswer:
    return ShareAnswer(
        share.id,
        share.study_uid,
        share.institution_id,
        share.recipient,
        share.made_at,
        share.ends_at,
        share.state,
        share.opened,
        share.opened_at,
    )
