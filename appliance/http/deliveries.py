"""What children bring: ``/api/sync``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from quart import Blueprint, Response, request

from appliance.domain.changes import Acknowledgement, Delivery
from appliance.domain.errors import NotAllowed, NotAuthenticated
from appliance.http.bodies import json_body, json_response
from appliance.services.synchronisation import CHANGES_PATH, KEYS_PATH, Children
from appliance.services.tokens import PublicKey

_BEARER = "Bearer "


def deliveries(
    take: Callable[[Delivery], Awaitable[Acknowledgement]],
    children: Children,
    keys: Callable[[], tuple[PublicKey, ...]],
) -> Blueprint:
    blueprint = Blueprint("deliveries", __name__)

    @blueprint.post(CHANGES_PATH)
    async def changes() -> Response:
        authorization = request.headers.get("Authorization", "")
        if not authorization.startswith(_BEARER):
            raise NotAuthenticated("The delivery is not signed", key="no-signature")
        body = await request.get_data(as_text=False)
        child_id = children.verify(authorization.removeprefix(_BEARER), body)
        delivery = await json_body(Delivery)
        if delivery.child_id != child_id:
            raise NotAllowed("The delivery is signed by another child", key="other-child")
        return json_response(await take(delivery))

    @blueprint.get(KEYS_PATH)
    async def public_keys() -> Response:
        return json_response(keys())

    return blueprint
