"""What a study has besides pictures, at a node: a list, and structured reports as their tree of statements."""

from __future__ import annotations

import msgspec
from quart import Blueprint, Response

from appliance.domain.documents import Document, Pointer, key_objects
from appliance.domain.study_objects import StudyObject
from appliance.http import addresses
from appliance.http.bodies import compressed_json_response
from appliance.http.picture_answers import PictureAnswers
from appliance.services.archive import Archive
from appliance.services.study_objects import StudyObjects

OBJECTS = "/api/studies/<study>/objects"
DOCUMENT = "/api/studies/<study>/series/<series>/instances/<instance>/document"


class ObjectList(msgspec.Struct, frozen=True):
    objects: tuple[StudyObject, ...]


class DocumentAnswer(msgspec.Struct, frozen=True):
    document: Document
    key_objects: tuple[Pointer, ...]
    """What a key object selection selects; empty of another document."""


def study_objects(archive: Archive, answers: PictureAnswers) -> Blueprint:
    blueprint = Blueprint("study_objects", __name__)
    objects = StudyObjects(archive)

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

    return blueprint
