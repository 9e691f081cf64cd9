"""Nodes, for administrators: ``/api/nodes`` of an institution, ``/api/capacity`` of a node itself."""

from __future__ import annotations

from quart import Blueprint, Response

from appliance.domain.nodes import NodeState
from appliance.http.access import Access
from appliance.http.bodies import json_response, uuid_in_path
from appliance.http.lists import ListQuery
from appliance.services.nodes import SORTS, Holdings, Nodes


def nodes(service: Nodes, access: Access) -> Blueprint:
    blueprint = Blueprint("nodes", __name__)

    @blueprint.get("/api/nodes")
    async def listed() -> Response:
        account = access.writer()
        query = ListQuery("state", sorts=SORTS)
        found = await service.listed(account, query.choice("state", NodeState), query.part())
        return json_response({"nodes": found.rows, "total": found.total, "next": query.cursor(found.end)})

    @blueprint.delete("/api/nodes/<node_id>")
    async def delete(node_id: str) -> Response:
        account = access.writer()
        await service.delete(account, access.actor(account), uuid_in_path(node_id, "node_id"))
        return Response("", 204)

    return blueprint


def capacity(holdings: Holdings, access: Access) -> Blueprint:
    blueprint = Blueprint("capacity", __name__)

    @blueprint.get("/api/capacity")
    async def now() -> Response:
        return json_response(await holdings.capacity(access.writer()))

    return blueprint
