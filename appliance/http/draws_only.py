"""What a node says that only draws: nothing is kept or removed here."""

from __future__ import annotations

from uuid import UUID

from quart import Blueprint, Response

from appliance.domain.errors import Conflict
from appliance.http.access import Access

_STUDY = "/dicom-web/studies/<study>"
_SERIES = f"{_STUDY}/series/<series>"
_INSTANCE = f"{_SERIES}/instances/<instance>"


def draws_only(keeper_id: UUID, access: Access) -> Blueprint:
    """``keeper_id`` is the node that keeps what this one draws, where the directory says it is."""
    blueprint = Blueprint("draws_only", __name__)

    @blueprint.post("/api/uploads")
    @blueprint.post("/dicom-web/studies")
    @blueprint.post(_STUDY)
    @blueprint.delete("/api/studies/<study>")
    @blueprint.delete(_STUDY)
    @blueprint.delete(_SERIES)
    @blueprint.delete(_INSTANCE)
    async def refused(**_uids: str) -> Response:
        access.writer()
        raise Conflict(
            "This node only draws what another one keeps: ask that one", key="only-draws", keeper_id=str(keeper_id)
        )

    return blueprint
