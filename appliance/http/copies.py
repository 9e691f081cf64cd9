"""``/api/place``: whose address the page was opened from, and whether the toplevel is away.

An institution whose toplevel is elsewhere answers from its copy, at the same paths as the toplevel, for reading only
(``http.patients.people_known``).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec
from quart import Blueprint, Response

from appliance.http.bodies import json_response
from appliance.services.copies import ToplevelCopy


class OfToplevel(msgspec.Struct, frozen=True, tag_field="kind", tag="toplevel"):
    """The page was opened from the toplevel's address."""


class OfInstitution(msgspec.Struct, frozen=True, tag_field="kind", tag="institution"):
    """The page was opened from an institution's own address."""

    name: str
    toplevel_url: str
    is_toplevel_away: bool
    heard_at: datetime | None
    """When the toplevel answered last; None before it has."""


def toplevel_place() -> Blueprint:
    blueprint = Blueprint("place", __name__)

    @blueprint.get("/api/place")
    async def place() -> Response:
        return json_response(OfToplevel())

    return blueprint


def institution_place(name: str, toplevel_url: str, copy: ToplevelCopy, is_away: Callable[[], bool]) -> Blueprint:
    blueprint = Blueprint("place", __name__)

    @blueprint.get("/api/place")
    async def place() -> Response:
        heard_at = await copy.heard_at()
        return json_response(OfInstitution(name, toplevel_url, is_away(), heard_at))

    return blueprint
