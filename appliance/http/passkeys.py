"""Somebody's own passkeys: ``/api/account/passkeys``. Logging in with one stands with the sessions."""

from __future__ import annotations

import msgspec
from quart import Blueprint, Response

from appliance.http.access import Access
from appliance.http.accounts import Password
from appliance.http.bodies import json_body, json_response, uuid_in_path
from appliance.http.sessions import whence
from appliance.http.webauthn import Registration
from appliance.services.accounts import Accounts
from appliance.storage.passkeys import KeptPasskey


class Name(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class PasskeyToAdd(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    credential: Registration


def own_passkeys(accounts: Accounts, access: Access) -> Blueprint:
    blueprint = Blueprint("own passkeys", __name__)

    @blueprint.get("/api/account/passkeys")
    async def passkeys() -> Response:
        found = [_json(passkey) for passkey in await accounts.passkeys(access.writer())]
        return json_response({"passkeys": found, "relying_party_id": accounts.relying_party_id})

    @blueprint.post("/api/account/passkeys/request")
    async def begin_passkey() -> Response:
        account, wanted = access.writer(), await json_body(Password)
        return json_response(await accounts.begin_passkey(account, wanted.password, whence()))

    @blueprint.post("/api/account/passkeys")
    async def add_passkey() -> Response:
        account, wanted = access.writer(), await json_body(PasskeyToAdd)
        new = wanted.credential.new_passkey()
        return json_response(_json(await accounts.add_passkey(account, wanted.name, new, access.actor(account))), 201)

    @blueprint.put("/api/account/passkeys/<passkey_id>")
    async def rename_passkey(passkey_id: str) -> Response:
        account, wanted = access.writer(), await json_body(Name)
        this = uuid_in_path(passkey_id, "passkey_id")
        await accounts.rename_passkey(account, this, wanted.name, access.actor(account))
        return Response("", 204)

    @blueprint.delete("/api/account/passkeys/<passkey_id>")
    async def remove_passkey(passkey_id: str) -> Response:
        account = access.writer()
        await accounts.remove_passkey(account, uuid_in_path(passkey_id, "passkey_id"), access.actor(account))
        return Response("", 204)

    return blueprint


def _json(passkey: KeptPasskey) -> dict[str, object]:
    return {
        "id": passkey.id,
        "name": passkey.name,
        "created_at": passkey.created_at,
        "used_at": passkey.used_at,
        "is_synced": passkey.is_synced,
    }
