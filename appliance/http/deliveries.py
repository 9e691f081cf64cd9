"""What children bring and ask, and the keys that they fetch: ``/api/sync``."""

from __future__ import annotations

from typing import cast

from quart import Blueprint, Response, request

from appliance.domain.errors import NotAuthenticated
from appliance.http.bodies import json_response
from appliance.services.synchronisation import CHANGES_PATH, KEYS_PATH, QUESTIONS_PATH, RELEASES_PATH, Children
from appliance.services.tokens import TokenVerifier

_BEARER = "Bearer "


def deliveries(children: Children, verifier: TokenVerifier) -> Blueprint:
    blueprint = Blueprint("deliveries", __name__)

    @blueprint.post(CHANGES_PATH)
    async def changes() -> Response:
        return json_response(await children.receive(*await _signed()))

    @blueprint.post(QUESTIONS_PATH)
    async def questions() -> Response:
        return json_response(await children.answer(*await _signed()))

    @blueprint.post(RELEASES_PATH)
    async def releases() -> Response:
        return json_response(await children.releases(*await _signed()))

    @blueprint.get(KEYS_PATH)
    async def public_keys() -> Response:
        return json_response(verifier.keys)

    return blueprint


async def _signed() -> tuple[str, bytes]:
    """The signature and the body of the current request."""
    authorization = request.headers.get("Authorization", "")
    if not authorization.startswith(_BEARER):
        raise NotAuthenticated("The request is not signed", key="no-signature")
    return authorization.removeprefix(_BEARER), cast(bytes, await request.get_data(as_text=False))
