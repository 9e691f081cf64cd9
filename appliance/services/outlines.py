"""Segmentations and structure sets, laid over the slices of a series."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from appliance.domain.errors import Conflict, NotDrawable
from appliance.domain.identifiers import InstanceUid, SeriesUid, StudyUid
from appliance.domain.outlines import (
    HUNDREDTHS,
    UNCHANGED,
    Contour,
    Plane,
    Region,
    Segmentation,
    Shape,
    StructureSet,
    line_path,
)
from appliance.domain.study_objects import ObjectKind
from appliance.services.archive import Archive
from appliance.services.catalogue import Catalogue, SeriesDetail, SliceDetail
from appliance.services.study_objects import kind_of_holding
from appliance.storage.holdings import Holding

MOST_SLICES = 64
"""Of one answer."""
_REMEMBERED = 4
"""Objects that are kept as they were read; a large structure set is some dozen megabytes."""
_LONE_STEP_MM = 1.0
"""Of a series of one slice, which has no distance to another."""
_NEAR_MM = 1e-3


@dataclass(frozen=True, slots=True)
class LaidOver:
    regions: tuple[Region, ...]
    slices: tuple[tuple[Shape, ...], ...]
    """Of each slice that was asked for, in the order of the series."""
    unplaced: int
    """Frames or contours that lie on no slice of the series."""


class Regions:
    def __init__(self, catalogue: Catalogue, archive: Archive) -> None:
        self._catalogue = catalogue
        self._archive = archive
        self._known: OrderedDict[str, Segmentation | StructureSet] = OrderedDict()

    async def over(
        self, study_uid: StudyUid, series_uid: SeriesUid, object_uid: InstanceUid, first: int, count: int
    ) -> LaidOver:
        """What of an object of the study lies on slices of a series, from ``first``, counted from 0, on.

        Raises NotFound; NotDrawable for objects of other kinds; Conflict where both are of other spaces.
        """
        series = await self._catalogue.series(study_uid, series_uid)
        held = (await self._archive.holdings(study_uid, None, object_uid))[0]
        wanted = range(min(first, len(series.slices)), min(first + min(count, MOST_SLICES), len(series.slices)))
        match kind_of_holding(held):
            case ObjectKind.SEGMENTATION:
                return await self._segments(series, held, wanted)
            case ObjectKind.STRUCTURES:
                return await self._structures(series, held, wanted)
            case _:
                raise NotDrawable("The object is nothing to lay over pictures.", key="no-regions")

    # Structure sets

    async def _structures(self, series: SeriesDetail, held: Holding, wanted: range) -> LaidOver:
        found = self._known.get(held.key)
        if not isinstance(found, StructureSet):
            found = await self._archive.structure_set(held)
            self._remember(held.key, found)
        # Some programs give structures a frame of reference of their own, and name the series on which they were drawn.
        if series.series_uid not in found.about_series:
            _refuse_strangers(found.frame_of_reference_uid, series.frame_of_reference_uid)
        return await asyncio.to_thread(_with_contours, series.slices, found, wanted)

    # Segmentations

    async def _segments(self, series: SeriesDetail, held: Holding, wanted: range) -> LaidOver:
        found = self._known.get(held.key)
        if not isinstance(found, Segmentation):
            found = await self._archive.segmentation(held)
            self._remember(held.key, found)
        _, image = await self._archive.image(*held.uids)
        frames = [
            Plane.of(one.plane.position_mm, one.plane.orientation, one.plane.pixel_spacing_mm) for one in image.frames
        ]
        if any(frames):
            _refuse_strangers(image.frame_of_reference_uid or "", series.frame_of_reference_uid)
        size = (image.pixel_format.rows, image.pixel_format.columns)
        places = _placed_frames(series.slices, found, frames, size)
        shown = sorted({frame for slice_index in wanted for frame, _ in places.get(slice_index, ())})
        outlines: dict[int, Sequence[tuple[int, float, str]]] = {}
        if shown:
            only = replace(image, frames=tuple(image.frames[index] for index in shown))
            numbers = [found.frames[index].number if index < len(found.frames) else 1 for index in shown]
            traced = await self._archive.outlines(held, only, numbers, found.maximum)
            outlines = dict(zip(shown, traced, strict=True))
        slices = tuple(
            tuple(
                Shape(number, path, matrix, opacity, is_closed=True)
                for frame, matrix in places.get(index, ())
                for number, opacity, path in outlines[frame]
            )
            for index in wanted
        )
        lying = {frame for pairs in places.values() for frame, _ in pairs}
        return LaidOver(found.regions, slices, len(image.frames) - len(lying))

    def _remember(self, key: str, found: Segmentation | StructureSet) -> None:
        self._known[key] = found
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


def _refuse_strangers(one: str, other: str | None) -> None:
    """What lies in another space may lie anywhere."""
    if one and other and one != other:
        raise Conflict("The object and the series are of different frames of reference", key="other-frame-of-reference")


def _plane_of(one: SliceDetail) -> Plane | None:
    return Plane.of(one.position, one.orientation, one.pixel_spacing)


def _step_mm(heights: NDArray[np.float64]) -> float | None:
    """The usual distance between neighbours; None where there is only one."""
    gaps = np.diff(np.unique(np.round(heights, 3)))
    gaps = gaps[gaps > _NEAR_MM]
    return float(np.median(gaps)) if gaps.size else None


# Where contours lie


def _with_contours(slices: Sequence[SliceDetail], found: StructureSet, wanted: range) -> LaidOver:
    """Each contour on the slice that is nearest, if it lies in that plane within half of the distance between slices."""
    planes = [_plane_of(one) for one in slices]
    shapes: dict[int, list[Shape]] = {}
    unplaced = 0
    stacks = _stacks(planes)
    for contour in found.contours:
        places = [index for stack in stacks if (index := stack.place_of(contour)) is not None]
        unplaced += not places
        for index in places:
            plane = planes[index]
            if index in wanted and plane is not None:
                shapes.setdefault(index, []).append(_shape_of(contour, plane))
    return LaidOver(found.regions, tuple(tuple(shapes.get(index, ())) for index in wanted), unplaced)


@dataclass(frozen=True, slots=True)
class _Stack:
    """Slices of one orientation."""

    first: Plane
    indices: NDArray[np.int64]
    heights_mm: NDArray[np.float64]
    half_mm: float

    def place_of(self, contour: Contour) -> int | None:
        """The slice that a contour lies on."""
        heights = self.first.heights_mm(contour.points_mm())
        middle = float(heights.mean())
        if np.abs(heights - middle).max() > min(self.half_mm, _LONE_STEP_MM):
            return None
        nearest = int(np.abs(self.heights_mm - middle).argmin())
        return int(self.indices[nearest]) if abs(self.heights_mm[nearest] - middle) <= self.half_mm + _NEAR_MM else None


def _stacks(planes: Sequence[Plane | None]) -> list[_Stack]:
    groups: list[tuple[Plane, list[int]]] = []
    for index, plane in enumerate(planes):
        if plane is None:
            continue
        group = next((one for first, one in groups if first.is_parallel_to(plane)), None)
        if group is None:
            groups.append((plane, [index]))
        else:
            group.append(index)
    found = []
    for first, indices in groups:
        heights = first.heights_mm(
            np.stack([one.position_mm for index in indices if (one := planes[index]) is not None])
        )
        found.append(_Stack(first, np.array(indices), heights, (_step_mm(heights) or _LONE_STEP_MM) / 2))
    return found


def _shape_of(contour: Contour, plane: Plane) -> Shape:
    is_closed = contour.kind.startswith("CLOSED")
    path = line_path(plane.pixels(contour.points_mm()), is_closed=is_closed)
    return Shape(contour.number, path, HUNDREDTHS, 1.0, is_closed)


# Where frames lie


def _placed_frames(
    slices: Sequence[SliceDetail], found: Segmentation, frames: Sequence[Plane | None], size: tuple[int, int]
) -> dict[int, list[tuple[int, tuple[float, float, float, float, float, float]]]]:
    """For each slice the frames that lie on it, each with the matrix to pixels of the slice.

    A frame lies on the slice that is nearest, if that is nearer than half of the way to the next, and on all slices within half
    of the way to the next frame. Without planes it lies on the images that it was made of, if they are of its size.
    """
    places: dict[int, list[tuple[int, tuple[float, float, float, float, float, float]]]] = {}
    planes = [_plane_of(one) for one in slices]
    stacks = _stacks(planes)
    known = [one for one in frames if one is not None]
    by_source = {(one.instance_uid, one.frame): index for index, one in enumerate(slices)}
    by_instance: dict[str, list[int]] = {}
    for index, one in enumerate(slices):
        by_instance.setdefault(one.instance_uid, []).append(index)
    own_half_mm = 0.0
    if known:
        own_half_mm = (_step_mm(known[0].heights_mm(np.stack([one.position_mm for one in known]))) or 0.0) / 2
    for frame, plane in enumerate(frames):
        if plane is None:
            sources = found.frames[frame].sources if frame < len(found.frames) else ()
            for uid, number in sources:
                named = by_instance.get(uid, []) if number is None else [by_source.get((InstanceUid(uid), number), -1)]
                for index in named:
                    if index >= 0 and (slices[index].rows, slices[index].columns) == size:
                        places.setdefault(index, []).append((frame, UNCHANGED))
            continue
        for stack in stacks:
            if not stack.first.is_parallel_to(plane):
                continue
            distances = stack.heights_mm - float(stack.first.heights_mm(plane.position_mm))
            nearest = int(np.abs(distances).argmin())
            lies = np.abs(distances) < own_half_mm - _NEAR_MM
            lies[nearest] |= bool(abs(distances[nearest]) <= stack.half_mm + _NEAR_MM)
            for index in stack.indices[lies].tolist():
                if (target := planes[index]) is not None:
                    places.setdefault(index, []).append((frame, plane.matrix_to(target)))
    return places
