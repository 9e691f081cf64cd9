"""What came under the UID of an instance that is held and is other bytes, for those who run the node. Names no patient."""

from __future__ import annotations

from quart import Blueprint, Response

from appliance.domain.accounts import Right
from appliance.domain.errors import BadRequest
from appliance.http.access import Access
from appliance.http.bodies import integer_parameter, json_response
from appliance.services.catalogue import Catalogue

_USUAL = 100
_MOST = 1000


def conflicts(catalogue: Catalogue, access: Access) -> Blueprint:
    blueprint = Blueprint("conflicts", __name__)

    @blueprint.get("/api/conflicts")
    async def held_apart() -> Response:
        access.reader().require(Right.OPERATE)
        limit, offset = integer_parameter("limit", _USUAL), integer_parameter("offset", 0)
        if not 0 <= limit <= _MOST:
            raise BadRequest(f"limit is between 0 and {_MOST}", parameter="limit")
        if offset < 0:
            raise BadRequest("offset is 0 or more", parameter="offset")
        return json_response(await catalogue.conflicts(limit=limit, offset=offset))

    return blueprint
