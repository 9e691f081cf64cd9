"""Which slices a volume is drawn from: those of one of the volumes of a series, or of a part that a request names.

A part of a series is a series again, with only those images and frames and a version of its own. So whatever draws need not
know that there was more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from appliance.domain.errors import NotDrawable
from appliance.domain.geometry import Arrangement, VolumeGeometry, slices_of
from appliance.domain.identifiers import InstanceUid
from appliance.domain.image import StoredSeries

Frames = Mapping[InstanceUid, Collection[int]]
"""Frames of each instance, counted from 0."""


@dataclass(frozen=True, slots=True)
class StoredVolume:
    """One of the volumes of a series."""

    series: StoredSeries
    geometry: VolumeGeometry
    number: int
    """Among the volumes of its series, from 0."""
    is_usual: bool
    """Whether it is the one of its series that is shown unless another is asked for."""
    instance_uids: frozenset[InstanceUid]
    """Of the images that it is made of."""
    frame_of_reference_uid: str | None = None

    @property
    def number_of_view(self) -> int | None:
        """How views name it: the usual one has one name only, so that it is loaded once however it is asked for."""
        return None if self.is_usual else self.number

    @property
    def gaps_mm(self) -> float:
        """How much of its length shows nothing, since slices are missing."""
        return sum(part.is_gap for part in self.geometry.lattice) * self.geometry.spacing_mm[0]


def volumes_of(stored: StoredSeries, arrangement: Arrangement) -> tuple[StoredVolume, ...]:
    """The volumes of a series. Raises NotDrawable with the reason where it has none."""
    if not arrangement.volumes:
        raise NotDrawable(
            arrangement.reason or "There is nothing to make a volume of",
            key="not-a-volume",
            series_uid=stored.series_uid,
        )
    return tuple(_volume(stored, arrangement, number) for number in range(len(arrangement.volumes)))


def _volume(stored: StoredSeries, arrangement: Arrangement, number: int) -> StoredVolume:
    geometry = arrangement.volumes[number]
    images = [stored.images[arrangement.slices[each].image_index].description for each in slices_of(geometry)]
    return StoredVolume(
        stored,
        geometry,
        number,
        geometry is arrangement.volume,
        frozenset(image.instance_uid for image in images),
        images[0].frame_of_reference_uid,
    )


def narrowed(stored: StoredSeries, frames: Frames) -> StoredSeries:
    """Only these frames of these instances; ``stored`` itself where these are all."""
    images = []
    for image in stored.images:
        wanted = sorted(set(frames.get(image.description.instance_uid, ())))
        if wanted:
            kept = tuple(image.description.frames[index] for index in wanted)
            images.append((image, wanted, replace(image, description=replace(image.description, frames=kept))))
    if [len(kept.description.frames) for *_, kept in images] == [len(one.description.frames) for one in stored.images]:
        return stored
    named = "\n".join(f"{image.key} {wanted}" for image, wanted, _ in images)
    version = hashlib.sha256(f"{stored.version}\n{named}".encode()).hexdigest()
    return StoredSeries(stored.series_uid, version, tuple(kept for *_, kept in images))
