"""The frame that an address names: whoever asks may look at it, and that they do is on record."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.domain.errors import NotFound
from appliance.domain.identifiers import InstanceUid, StudyUid
from appliance.domain.image import StoredImage
from appliance.http import addresses
from appliance.http.picture_answers import PictureAnswers
from appliance.http.query_values import integer
from appliance.services.catalogue import Catalogue

FRAME = "/api/studies/<study>/series/<series>/instances/<instance>/frames/<frame>"


@dataclass(frozen=True)
class AskedFrame:
    viewer: str
    """As the render process tells viewers apart."""
    study_uid: StudyUid
    instance_uid: InstanceUid
    image: StoredImage
    index: int
    """Of the frame in its image, from 0; addresses count from 1."""


class AskedFrames:
    """Opens the addresses below ``FRAME``."""

    def __init__(self, catalogue: Catalogue, answers: PictureAnswers) -> None:
        self._catalogue = catalogue
        self._answers = answers

    async def opened(self, study: str, series: str, instance: str, frame: str) -> AskedFrame:
        """Raises NotFound of what is not held, or held back from whoever asks."""
        viewer = await self._answers.viewer(study, series, instance)
        uids = addresses.uids_of_instance(study, series, instance)
        image = await self._catalogue.stored_image(*uids)
        index = integer(frame, "frame") - 1
        if not 0 <= index < len(image.description.frames):
            raise NotFound("The image has no such frame", key="no-such-frame")
        return AskedFrame(viewer, uids[0], uids[2], image, index)
