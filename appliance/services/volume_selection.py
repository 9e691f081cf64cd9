"""Which volumes a request means: by series or instance, by reference, by attributes, by number (PS3.18 §8.3.5.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.domain.attribute_matching import Wanted
from appliance.domain.errors import BadRequest, NotDrawable, NotFound
from appliance.domain.geometry import arranged
from appliance.domain.identifiers import InstanceUid, SeriesUid, StudyUid
from appliance.domain.image import StoredSeries
from appliance.domain.volumetric_states import VolumetricState, volumetric_state
from appliance.services.archive import Archive
from appliance.services.catalogue import Catalogue
from appliance.services.volume_inputs import StoredVolume, narrowed, volumes_of


@dataclass(frozen=True, slots=True)
class VolumeTarget:
    """Where volumes are looked for, and which of them are meant."""

    study_uid: StudyUid
    series_uid: SeriesUid | None = None
    instance_uid: InstanceUid | None = None
    references: tuple[str, ...] = ()
    """UIDs of series or instances, or, of an instance, numbers of frames from 1."""
    attributes: tuple[Wanted, ...] = ()
    number: int | None = None
    """Of a series that holds several volumes, from 0."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What of a series is meant, as far as the request says it."""

    stored: StoredSeries
    frames: Mapping[InstanceUid, Sequence[int]] | None = None
    """None is all."""


class VolumeSelection:
    """Finds volumes in what is held."""

    def __init__(self, catalogue: Catalogue, archive: Archive) -> None:
        self._catalogue = catalogue
        self._archive = archive

    async def volumes(self, target: VolumeTarget) -> tuple[StoredVolume, ...]:
        """The volumes that are meant, series by series; at least one.

        Raises NotFound, BadRequest for a reference to nothing, and NotDrawable with the reason where there is no volume.
        """
        parts = await self._parts(target)
        found: list[StoredVolume] = []
        reasons: list[NotDrawable] = []
        for part in parts:
            try:
                found += await self._volumes_of_part(target, part)
            except NotDrawable as error:  # another series of the study may have one
                reasons.append(error)
        if not found:
            raise reasons[0]
        if target.number is None:
            return tuple(found)
        numbered = tuple(volume for volume in found if volume.number == target.number)
        if not numbered:
            raise BadRequest(f"There are {len(found)} volumes, counted from 0", parameter="volume")
        return numbered

    async def state(self, target: VolumeTarget) -> VolumetricState | None:
        """The presentation state that the target is; None where it is not an object without pixels.

        Raises NotFound, and NotDrawable for what is no state that can be drawn.
        """
        if target.instance_uid is None:
            return None
        held = (await self._archive.holdings(target.study_uid, target.series_uid, target.instance_uid))[0]
        if held.has_pixels:
            return None
        said = await self._archive.attributes(target.study_uid, {target.instance_uid})
        return volumetric_state(said[target.instance_uid])

    async def of_state(self, target: VolumeTarget, state: VolumetricState) -> tuple[StoredVolume, ...]:
        """The volumes that a presentation state of the study is about. Raises NotDrawable where they are not held."""
        try:
            return await self.volumes(VolumeTarget(target.study_uid, references=state.references))
        except BadRequest as error:
            raise NotDrawable("Images of the presentation state are not held here", key="not-presented") from error

    async def _parts(self, target: VolumeTarget) -> list[_Part]:
        if target.instance_uid is not None and target.series_uid is not None:
            # Says why, where the instance has no pictures.
            await self._catalogue.stored_image(target.study_uid, target.series_uid, target.instance_uid)
        series = [target.series_uid] if target.series_uid else await self._catalogue.drawable_series(target.study_uid)
        every = [await self._catalogue.stored_series(target.study_uid, uid) for uid in series]
        parts = [_Part(one, _frames_of_instance(one, target)) for one in every]
        if target.references:
            parts = _referred(parts, target)
        if target.attributes:
            parts = await self._matching(parts, target)
        return parts

    async def _matching(self, parts: Sequence[_Part], target: VolumeTarget) -> list[_Part]:
        found = []
        for part in parts:
            frames = part.frames if part.frames is not None else _all_frames(part.stored)
            said = await self._archive.attributes(target.study_uid, set(frames))
            counts = {
                image.description.instance_uid: len(image.description.frames)
                for image in part.stored.images
                if image.description.instance_uid in frames
            }
            kept = {}
            for uid, indexes in frames.items():
                matching = set(said[uid].matching_frames(counts[uid], target.attributes)) if uid in said else set()
                if both := [index for index in indexes if index in matching]:
                    kept[uid] = both
            if kept:
                found.append(_Part(part.stored, kept))
        if not found:
            raise NotFound("No image of the target matches", key="nothing-matches")
        return found

    async def _volumes_of_part(self, target: VolumeTarget, part: _Part) -> Sequence[StoredVolume]:
        if part.frames is None:
            return await self._catalogue.volumes(target.study_uid, part.stored.series_uid)
        stored = narrowed(part.stored, part.frames)
        if stored is part.stored:
            return await self._catalogue.volumes(target.study_uid, stored.series_uid)
        arrangement = arranged([image.description for image in stored.images])
        if not arrangement.volumes and target.references:
            # A slice may stand for the volume that it belongs to (PS3.18 B.34).
            every = await self._catalogue.volumes(target.study_uid, stored.series_uid)
            named = [volume for volume in every if any(uid in volume.instance_uids for uid in part.frames)]
            if named:
                return named
        return volumes_of(stored, arrangement)


def _frames_of_instance(stored: StoredSeries, target: VolumeTarget) -> Mapping[InstanceUid, Sequence[int]] | None:
    if target.instance_uid is None:
        return None
    return {uid: frames for uid, frames in _all_frames(stored).items() if uid == target.instance_uid}


def _all_frames(stored: StoredSeries) -> dict[InstanceUid, Sequence[int]]:
    return {image.description.instance_uid: range(len(image.description.frames)) for image in stored.images}


def _referred(parts: Sequence[_Part], target: VolumeTarget) -> list[_Part]:
    """Only what the references name."""
    if target.instance_uid is not None:
        return [_Part(part.stored, _frames_referred(part, target.instance_uid, target.references)) for part in parts]
    found, named = [], set()
    for part in parts:
        if part.stored.series_uid in target.references:
            named.add(str(part.stored.series_uid))
            found.append(part)
            continue
        frames = {uid: frames for uid, frames in _all_frames(part.stored).items() if uid in target.references}
        named |= {str(uid) for uid in frames}
        if frames:
            found.append(_Part(part.stored, frames))
    if missing := [uid for uid in target.references if uid not in named]:
        raise BadRequest(f"{missing[0]} is no series or image of the target", parameter="volumeinputreference")
    return found


def _frames_referred(part: _Part, instance_uid: InstanceUid, references: Sequence[str]) -> dict[InstanceUid, list[int]]:
    count = len(_all_frames(part.stored)[instance_uid])
    numbers = [int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0 for text in references]
    if any(not 1 <= number <= count for number in numbers):
        raise BadRequest(f"References in an instance are frames, from 1 to {count}", parameter="volumeinputreference")
    return {instance_uid: [number - 1 for number in numbers]}
