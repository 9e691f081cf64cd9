"""``/api/access``: a bearer token becomes the cookie that pictures ride on (institutions and nodes)."""

from __future__ import annotations

from quart import Blueprint, Response

from appliance.http.access import Access


def entry(access: Access) -> Blueprint:
    blueprint = Blueprint("entry", __name__)

    @blueprint.post("/api/access")
    async def begin() -> Response:
        access.visitor()
        response = Response("", 204)
        access.set_cookie(response)
        return response

    @blueprint.delete("/api/access")
    async def end() -> Response:
        response = Response("", 204)
        access.clear_cookie(response)
        return response

    return blueprint
