"""How the roles of this process stand with the appliances above them: ``/api/synchronisation``, for those who run it."""

from __future__ import annotations

from collections.abc import Sequence

from quart import Blueprint, Response

from appliance.domain.accounts import Right
from appliance.http.access import Access
from appliance.http.bodies import json_response
from appliance.services.synchronisation import Uplink


def synchronisation(uplinks: Sequence[Uplink], access: Access) -> Blueprint:
    blueprint = Blueprint("synchronisation", __name__)

    @blueprint.get("/api/synchronisation")
    async def lines() -> Response:
        access.writer().require(Right.OPERATE)
        return json_response({"lines": [await uplink.state() for uplink in uplinks]})

    return blueprint
