"""What a node says that only draws: nothing is kept or removed here."""

from __future__ import annotations

from uuid import UUID

from quart import Blueprint, Response

from appliance.domain.errors import Conflict
from appliance.http.access import Access

_LEVELS = (
    "/dicom-web/studies/<study>",
    "/dicom-web/studies/<study>/series/<series>",
    "/dicom-web/studies/<study>/series/<series>/instances/<instance>",
)


def draws_only(keeper_id: UUID, access: Access) -> Blueprint:
    """``keeper_id`` is the node that keeps what this one draws, where the directory says it is."""
    blueprint = Blueprint("draws_only", __name__)

    @blueprint.post("/api/uploads")
    @blueprint.post("/dicom-web/studies")
    @blueprint.post("/dicom-web/studies/<study>")
    @blueprint.delete("/api/studies/<study>")
    @blueprint.delete(_LEVELS[0])
    @blueprint.delete(_LEVELS[1])
    @blueprint.delete(_LEVELS[2])
    async def refused(**_uids: str) -> Response:
        access.writer()
        raise Conflict(
            "This node only draws what another one keeps: ask that one", key="only-draws", keeper_id=str(keeper_id)
        )

    return blueprint
