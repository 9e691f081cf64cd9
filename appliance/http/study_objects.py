"""What a study has besides pictures, at a node: a list, and structured reports as their tree of statements."""

from __future__ import annotations

import msgspec
from quart import Blueprint, Response, request

from appliance.domain.documents import Document, Pointer, key_objects
from appliance.domain.errors import BadRequest
from appliance.domain.identifiers import InstanceUid, checked_uid
from appliance.domain.study_objects import StudyObject
from appliance.http import addresses
from appliance.http.bodies import compressed_json_response
from appliance.http.picture_answers import PictureAnswers
from appliance.http.query_values import integer
from appliance.services.archive import Archive
from appliance.services.catalogue import Catalogue
from appliance.services.outlines import MOST_SLICES, Regions
from appliance.services.study_objects import StudyObjects

OBJECTS = "/api/studies/<study>/objects"
LAID_OVER = "/api/studies/<study>/series/<series>/regions"
DOCUMENT = "/api/studies/<study>/series/<series>/instances/<instance>/document"


class ObjectList(msgspec.Struct, frozen=True):
    objects: tuple[StudyObject, ...]


class DocumentAnswer(msgspec.Struct, frozen=True):
    document: Document
    key_objects: tuple[Pointer, ...]
    """What a key object selection selects; empty of another document."""


def study_objects(catalogue: Catalogue, archive: Archive, answers: PictureAnswers) -> Blueprint:
    blueprint = Blueprint("study_objects", __name__)
    objects, regions = StudyObjects(archive), Regions(catalogue, archive)

    @blueprint.get(OBJECTS)
    async def listed(study: str) -> Response:
        await answers.viewer(study)
        return await compressed_json_response(ObjectList(await objects.of(addresses.study_uid(study))))

    @blueprint.get(DOCUMENT)
    async def document(study: str, series: str, instance: str) -> Response:
        await answers.viewer(study, series, instance)
        (held,) = await archive.holdings(*addresses.uids_of_instance(study, series, instance))
        found = await archive.document(held)
        selected = key_objects(found) if found.is_key_selection else ()
        return await compressed_json_response(DocumentAnswer(found, selected))

    @blueprint.get(LAID_OVER)
    async def laid_over(study: str, series: str) -> Response:
        await answers.viewer(study, series)
        if "object" not in request.args:
            raise BadRequest("Which object is to be laid over is not said", parameter="object")
        object_uid = InstanceUid(checked_uid(request.args["object"], "object"))
        first, count = (
            _whole(name, least, usual) for name, least, usual in (("first", 1, 1), ("count", 1, MOST_SLICES))
        )
        uids = addresses.uids_of_series(study, series)
        return await compressed_json_response(await regions.over(*uids, object_uid, first - 1, count))

    return blueprint


def _whole(name: str, least: int, usual: int) -> int:
    number = integer(request.args[name], name) if name in request.args else usual
    if number < least:
        raise BadRequest(f"{name} is below {least}", parameter=name)
    return number
