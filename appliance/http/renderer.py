"""What draws at this node, how it is, and what is kept so as not to make it again; for those who run it."""

from __future__ import annotations

from collections.abc import Callable

from quart import Blueprint, Response

from appliance.domain.accounts import Right
from appliance.http.access import Access
from appliance.http.bodies import json_response
from appliance.services.drawing import RendererState


def renderer(state: Callable[[], RendererState], access: Access) -> Blueprint:
    blueprint = Blueprint("renderer", __name__)

    @blueprint.get("/api/renderer")
    async def how_it_is() -> Response:
        access.reader().require(Right.OPERATE)
        return json_response(state())

    return blueprint
