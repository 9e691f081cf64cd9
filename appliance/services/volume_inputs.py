"""Which slices a volume is drawn from: the volumes of a series, and parts of a series that a request names.

A part of a series is a series again, with only those images and frames and a version of its own. So whatever draws need not
know that there was more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from appliance.domain.errors import NotDrawable
from appliance.domain.geometry import Arrangement, SliceRef, VolumeGeometry
from appliance.domain.identifiers import InstanceUid
from appliance.domain.image import ImageDescription, StoredSeries

Frames = Mapping[InstanceUid, Collection[int]]
"""Frames of each instance, counted from 0."""


@dataclass(frozen=True, slots=True)
class StoredVolume:
    """A volume, and the slices that it is made of."""

    series: StoredSeries
    """Holds these slices and no others."""
    geometry: VolumeGeometry
    number: int
    """Among the volumes of its series, from 1."""
    is_usual: bool
    """Whether it is the one of its series that is shown unless another is asked for."""

    @property
    def image(self) -> ImageDescription:
        return self.series.images[0].description

    @property
    def slice_count(self) -> int:
        return len({end for part in self.geometry.lattice for end in (part.lower, part.upper)})

    @property
    def gaps_mm(self) -> float:
        """How much of its length shows nothing, since slices are missing."""
        return sum(part.is_gap for part in self.geometry.lattice) * self.geometry.spacing_mm[0]

    def holds(self, instance_uid: InstanceUid) -> bool:
        return any(image.description.instance_uid == instance_uid for image in self.series.images)


def volumes_of(stored: StoredSeries, arrangement: Arrangement) -> tuple[StoredVolume, ...]:
    """The volumes of a series. Raises NotDrawable with the reason where it has none."""
    if not arrangement.volumes:
        raise NotDrawable(
            arrangement.reason or "There is nothing to make a volume of",
            key="not-a-volume",
            series_uid=stored.series_uid,
        )
    return tuple(
        StoredVolume(_slices_of(stored, arrangement, volume), volume, number, volume is arrangement.volume)
        for number, volume in enumerate(arrangement.volumes, 1)
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


def _slices_of(stored: StoredSeries, arrangement: Arrangement, volume: VolumeGeometry) -> StoredSeries:
    if len(arrangement.volumes) == 1:
        return stored  # with what is left out of the volume, which the arrangement leaves out again
    frames: dict[InstanceUid, set[int]] = {}
    for index in {end for part in volume.lattice for end in (part.lower, part.upper)}:
        ref: SliceRef = arrangement.slices[index]
        frames.setdefault(stored.images[ref.image_index].description.instance_uid, set()).add(ref.frame_index)
    return narrowed(stored, frames)
