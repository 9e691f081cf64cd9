"""What an institution answers of its copy of the toplevel, for whoever opens the page from the institution's own address.

The same paths as at the toplevel, for reading only; beside them ``/api/place``, which says where one is and whether the toplevel
is away.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec
from quart import Blueprint, Response

from appliance.domain.audit import Action, Subject, patient_subject
from appliance.domain.identifiers import PatientId
from appliance.http.access import Access
from appliance.http.bodies import integer_parameter, json_response, uuid_in_path
from appliance.http.patients import Directory, patient_json, search_wanted
from appliance.services.audit import Auditing
from appliance.services.copies import KnownHere, ToplevelCopy


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


def known_here(known: KnownHere, access: Access, auditing: Auditing) -> Blueprint:
    blueprint = Blueprint("known here", __name__)

    @blueprint.get("/api/directory")
    async def directory() -> Response:
        return json_response(Directory(await known.directory(access.writer())))

    @blueprint.get("/api/patients")
    async def search() -> Response:
        account = access.writer()
        found, total = await known.search_patients(
            account,
            search_wanted(),
            limit=integer_parameter("limit", 50),
            offset=integer_parameter("offset", 0),
        )
        await auditing.looked_at(access.actor(account), Action.SEARCH, Subject("patient"))
        return json_response({"patients": [patient_json(patient) for patient in found], "total": total})

    @blueprint.get("/api/patients/<patient_id>")
    async def one(patient_id: str) -> Response:
        account = access.writer()
        found = await known.patient(account, PatientId(uuid_in_path(patient_id, "patient_id")))
        await auditing.looked_at(access.actor(account), Action.OPEN, patient_subject(found.id))
        return json_response(patient_json(found))

    return blueprint
