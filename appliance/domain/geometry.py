"""Where the slices of a series lie, in which order they come, and whether together they are a volume.

Three spaces are spoken of: *index* (slice, row, column), counted from the centre of the first pixel; *patient*
(x, y, z), LPS millimetres: x grows to the patient's left, y to the back, z to the head; and *texture* (0…1), known only
to the rendering room.

The order of a series is that of its positions along the common normal, never that of its instance numbers, which
scanners give out as they like. A volume is a regular lattice; slices that lie unevenly are put on one by linear
interpolation between true neighbours, so that lengths measured in it are true, and the physician is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.domain.image import FramePlane, ImageDescription

Matrix = tuple[tuple[float, ...], ...]
"""4x4, row by row."""

_SAME_DIRECTION_COSINE = float(np.cos(np.deg2rad(0.5)))
"""Orientations nearer than half a degree are one: headers are rounded; 250 mm from the centre it makes 2 mm."""
_SAME_SIDE_COSINE = float(np.cos(np.deg2rad(45)))
"""Normals within this of the first can still be ordered along it (a gantry tilt that varies)."""
_SAME_SPACING_RELATIVE = 0.01
_SAME_POSITION_MM = 0.01
_EVEN_RELATIVE = 0.1
"""Slices are even when each lies within this part of their distance from where it should: headers round positions."""
_TILTED_DEGREES = 0.5
_STRAIGHT_MM = 0.5
"""First pixels may lie so far off the straight line between the first and the last slice."""
_GAP_RELATIVE = 1.5
_FINEST_LATTICE = 4
"""A lattice through uneven slices is at most so many times finer than their usual distance."""


@dataclass(frozen=True, slots=True)
class SliceRef:
    """One slice of a series: the image within ``StoredSeries.images`` and its frame, both counted from 0."""

    image_index: int
    frame_index: int


@dataclass(frozen=True, slots=True)
class LatticeSlice:
    """Of what one slice of the lattice is made: ``(1 - weight) * lower + weight * upper``.

    ``lower`` and ``upper`` count in ``Arrangement.slices``; where a slice lies on the lattice they are equal and
    ``weight`` is 0.
    """

    lower: int
    upper: int
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class VolumeGeometry:
    """A regular lattice of values in the patient."""

    shape: tuple[int, int, int]
    """(slices, rows, columns) of the lattice."""
    spacing_mm: tuple[float, float, float]
    """Distance from one lattice point to the next along (slice, row, column); sheared slices lie nearer than that."""
    index_to_patient: Matrix
    """Takes (slice, row, column, 1) to (x, y, z, 1) in LPS mm."""
    center_mm: tuple[float, float, float]
    """Middle of the volume in the patient."""
    size_mm: tuple[float, float, float]
    """Extent along the patient's x, y and z of the box that holds every voxel, edges included."""
    lattice: tuple[LatticeSlice, ...]
    """Of what each lattice slice is made; as many as ``shape[0]``."""
    warnings: tuple[str, ...] = ()
    """In plain words: what of this volume is not as it should be."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """A series in order, and its volume if it has one."""

    slices: tuple[SliceRef, ...]
    volume: VolumeGeometry | None = None
    reason: str | None = None
    """Why there is no volume, in plain words; None where there is one."""


def arranged(images: Sequence[ImageDescription]) -> Arrangement:
    """The slices of a series in order, and the volume that they make or the reason why they make none.

    Ascending by position along the common normal (PS3.3 C.7.6.2.1.1); by instance number and frame where positions or
    a common normal are missing. Never refuses: what cannot be a volume is still shown slice by slice.
    """
    refs = _as_numbered(images)
    planes = [images[ref.image_index].frames[ref.frame_index].plane for ref in refs]
    heights = _heights(planes)
    if heights is None:
        return Arrangement(refs, None, _reason_without_positions(images, planes))
    order = np.argsort(heights, kind="stable")
    refs = tuple(refs[i] for i in order)
    planes = [planes[i] for i in order]
    volume, reason = _volume([images[ref.image_index] for ref in refs], planes, heights[order])
    return Arrangement(refs, volume, reason)


def orientation_letters(direction: Sequence[float]) -> str:
    """The letters at the end of a direction in the patient, the strongest first: ``"A"``, ``"LP"``, ``"HAR"``.

    Left, Right, Anterior, Posterior, Head, Feet; a part below a quarter of the whole is not named. Empty for no
    direction.
    """
    length = float(np.linalg.norm(direction))
    if length == 0:
        return ""
    parts = [(abs(c) / length, letters[c < 0]) for c, letters in zip(direction, ("LR", "PA", "HF"), strict=True)]
    parts.sort(key=lambda part: -part[0])
    return "".join(letter for size, letter in parts if size >= 0.25)


def plane_axes(plane: FramePlane) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] | None:
    """Unit vectors in which the column index grows, the row index grows, and their cross product, the normal.

    Made perpendicular to one another; None without a usable orientation.
    """
    if plane.orientation is None:
        return None
    along_columns = np.array(plane.orientation[:3], float)
    along_rows = np.array(plane.orientation[3:], float)
    normal = np.cross(along_columns, along_rows)
    if not np.isfinite(normal).all() or np.linalg.norm(normal) < 0.5:
        return None
    along_columns /= np.linalg.norm(along_columns)
    normal /= np.linalg.norm(normal)
    return along_columns, np.cross(normal, along_columns), normal


def _as_numbered(images: Sequence[ImageDescription]) -> tuple[SliceRef, ...]:
    def key(index: int) -> tuple[bool, int, str]:
        image = images[index]
        return image.instance_number is None, image.instance_number or 0, image.instance_uid

    by_number = sorted(range(len(images)), key=key)
    return tuple(SliceRef(index, frame) for index in by_number for frame in range(len(images[index].frames)))


def _heights(planes: Sequence[FramePlane]) -> NDArray[np.float64] | None:
    """Positions along the first plane's normal, mm; None unless every plane has one and all look about the same way."""
    if not planes:
        return None
    first = plane_axes(planes[0])
    if first is None:
        return None
    heights = np.empty(len(planes))
    for i, plane in enumerate(planes):
        axes = plane_axes(plane)
        if axes is None or plane.position_mm is None or float(axes[2] @ first[2]) < _SAME_SIDE_COSINE:
            return None
        heights[i] = first[2] @ np.array(plane.position_mm)
    return heights if bool(np.isfinite(heights).all()) else None


def _reason_without_positions(images: Sequence[ImageDescription], planes: Sequence[FramePlane]) -> str:
    if not images:
        return "The series has no images."
    if len(planes) == 1:
        return "The series is a single picture."
    if any(image.is_colour for image in images):
        return "Colour pictures make no volume."
    if any(plane.position_mm is None or plane.orientation is None for plane in planes):
        return "The images do not say where in the patient they lie."
    return "The images look in different directions."


def _volume(
    images: Sequence[ImageDescription], planes: Sequence[FramePlane], heights: NDArray[np.float64]
) -> tuple[VolumeGeometry | None, str | None]:
    reason = _reason_of_kind(images) or _reason_of_planes(planes)
    if reason:
        return None, reason
    distinct = _distinct(heights)
    if len(distinct) < 2:
        return None, "All images lie at the same place."
    times = len(heights) / len(distinct)
    if times >= 2:
        return None, f"The series shows each place {times:.3g} times (phases, echoes or energies), not one volume."
    chosen = [planes[i] for i in distinct]
    if _farthest_from_line(chosen) > _STRAIGHT_MM:
        return None, "The images do not lie behind one another in a straight line."
    warnings = []
    if times > 1:
        warnings.append(f"{len(heights) - len(distinct)} images lie at the place of another and are left out.")
    if len({image.frame_of_reference_uid for image in images}) > 1:
        # Against the standard within one series (PS3.3 C.7.4.1), and common after careless de-identification.
        warnings.append("The images name different frames of reference; they are taken as one.")
    return _lattice_of(images[0], chosen, heights, distinct, warnings), None


def _reason_of_kind(images: Sequence[ImageDescription]) -> str | None:
    if len(images) < 2:
        return "The series is a single picture."
    if any(image.is_colour for image in images):
        return "Colour pictures make no volume."
    if len({(image.pixel_format.rows, image.pixel_format.columns) for image in images}) > 1:
        return "The images differ in size."
    return None


def _reason_of_planes(planes: Sequence[FramePlane]) -> str | None:
    first = plane_axes(planes[0])
    assert first is not None, "heights are only known of planes with an orientation"
    spacing = planes[0].pixel_spacing_mm
    if spacing is None or min(spacing) <= 0:
        return "The images do not say how large their pixels are."
    for plane in planes:
        axes = plane_axes(plane)
        assert axes is not None
        if min(float(axes[0] @ first[0]), float(axes[1] @ first[1])) < _SAME_DIRECTION_COSINE:
            return "The images are tilted against one another."
        if plane.pixel_spacing_mm is None or not np.allclose(
            plane.pixel_spacing_mm, spacing, rtol=_SAME_SPACING_RELATIVE, atol=0
        ):
            return "The images differ in pixel size."
    return None


def _distinct(heights: NDArray[np.float64]) -> list[int]:
    """Of ascending heights, the index of the first at each place."""
    kept = [0]
    for i in range(1, len(heights)):
        if heights[i] - heights[kept[-1]] > _SAME_POSITION_MM:
            kept.append(i)
    return kept


def _positions(planes: Sequence[FramePlane]) -> NDArray[np.float64]:
    return np.array([plane.position_mm for plane in planes], float)


def _farthest_from_line(planes: Sequence[FramePlane]) -> float:
    """The largest distance in mm of a first pixel from the line through the first and the last."""
    positions = _positions(planes) - _positions(planes[:1])
    line = positions[-1] / np.linalg.norm(positions[-1])
    return float(np.linalg.norm(positions - np.outer(positions @ line, line), axis=1).max())


def _lattice_of(
    image: ImageDescription,
    planes: Sequence[FramePlane],
    heights: NDArray[np.float64],
    distinct: Sequence[int],
    warnings: list[str],
) -> VolumeGeometry:
    axes, spacing = plane_axes(planes[0]), planes[0].pixel_spacing_mm
    assert axes is not None
    assert spacing is not None
    along_columns, along_rows, normal = axes
    positions = _positions(planes)
    at = heights[list(distinct)]
    lattice, step_mm = _lattice(at, distinct, warnings)
    climb = (positions[-1] - positions[0]) / (at[-1] - at[0])  # mm in the patient for each mm along the normal
    tilt = float(np.degrees(np.arccos(np.clip(normal @ climb / np.linalg.norm(climb), -1, 1))))
    if tilt > _TILTED_DEGREES:
        warnings.append(f"The gantry was tilted by {tilt:.1f} degrees; the slices are drawn at their true places.")
    if len(lattice) < 3:
        warnings.append("The volume has only two slices.")
    shape = (len(lattice), image.pixel_format.rows, image.pixel_format.columns)
    matrix = np.eye(4)
    # PS3.3 C.7.6.2.1-1 with the index as (slice, row, column). Pixel Spacing is the distance between rows first: it
    # steps in the direction in which the row index grows.
    matrix[:3, 0] = climb * step_mm
    matrix[:3, 1] = along_rows * spacing[0]
    matrix[:3, 2] = along_columns * spacing[1]
    matrix[:3, 3] = positions[0]
    middle = matrix[:3, :3] @ ((np.array(shape) - 1) / 2) + matrix[:3, 3]
    size = np.abs(matrix[:3, :3]) @ np.array(shape)
    return VolumeGeometry(
        shape=shape,
        spacing_mm=(float(np.linalg.norm(matrix[:3, 0])), float(spacing[0]), float(spacing[1])),
        index_to_patient=tuple(tuple(float(value) for value in row) for row in matrix),
        center_mm=(float(middle[0]), float(middle[1]), float(middle[2])),
        size_mm=(float(size[0]), float(size[1]), float(size[2])),
        lattice=lattice,
        warnings=tuple(warnings),
    )


def _lattice(
    at: NDArray[np.float64], distinct: Sequence[int], warnings: list[str]
) -> tuple[tuple[LatticeSlice, ...], float]:
    """The lattice slices and their distance in mm along the normal, for slices at the ascending places ``at``."""
    steps = np.diff(at)
    mean = float(steps.mean())
    if np.abs(at - np.linspace(at[0], at[-1], len(at))).max() <= _EVEN_RELATIVE * mean:
        return tuple(LatticeSlice(i, i) for i in distinct), mean
    usual = float(np.median(steps))
    gaps = int((steps > _GAP_RELATIVE * usual).sum())
    warnings.append(
        f"The slices lie {steps.min():.2f} to {steps.max():.2f} mm apart; what lies between them is interpolated."
        + (f" {gaps} of the distances are gaps." if gaps else "")
    )
    # As fine as the finest distance, so that no slice is lost, within reason.
    finest = max(float(steps.min()), usual / _FINEST_LATTICE)
    count = max(2, round((at[-1] - at[0]) / finest) + 1)
    places = np.linspace(at[0], at[-1], count)
    lower = np.clip(np.searchsorted(at, places, side="right") - 1, 0, len(at) - 2)
    weights = np.clip((places - at[lower]) / steps[lower], 0, 1)
    return tuple(_between(distinct, int(i), float(w)) for i, w in zip(lower, weights, strict=True)), float(
        places[1] - places[0]
    )


def _between(distinct: Sequence[int], lower: int, weight: float) -> LatticeSlice:
    if weight < 1e-3:
        return LatticeSlice(distinct[lower], distinct[lower])
    if weight > 1 - 1e-3:
        return LatticeSlice(distinct[lower + 1], distinct[lower + 1])
    return LatticeSlice(distinct[lower], distinct[lower + 1], weight)
