"""Where the slices of a series lie, in which order they come, and whether together they are a volume.

Three spaces are spoken of: *index* (slice, row, column), counted from the centre of the first pixel; *patient*
(x, y, z), LPS millimetres: x grows to the patient's left, y to the back, z to the head; and *texture* (0…1), known only
to the rendering room.

The order of a series is that of its positions along the common normal, never that of its instance numbers, which
scanners give out as they like. A volume is a regular lattice; slices that lie unevenly are put on one by linear
interpolation between true neighbours, so that lengths measured in it are true, and the physician is told. Where a slice is
missing there is a gap, and nothing is made up for it.

A series may hold several volumes: a stack for each orientation or size of the images, and of a stack that shows each place
several times (phases, echoes, energies) one for each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from appliance.domain.errors import NotDrawable
from appliance.domain.image import FramePlane, ImageDescription

Axes = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Unit vectors in the patient: in which the column index grows, the row index grows, and their cross product, the normal."""
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
_SQUARE_COSINE = float(np.cos(np.deg2rad(20)))
"""Slices whose normal is within this of an axis of the patient are called by that axis alone."""
_SEVERAL_TIMES = 2
"""A stack that shows its places so many times is several volumes; one with fewer has images too many."""
_MOST_STACKS = 64
"""Different orientations and sizes of one series that are told apart."""
_STRAIGHT_MM = 0.5
"""First pixels may lie so far off the straight line between the first and the last slice."""
_GAP_RELATIVE = 1.5
"""A distance is a gap where it is so many times the usual one, and so many times the thickness of the slices beside it."""
_FINEST_LATTICE = 4
"""A lattice through uneven slices is at most so many times finer than their usual distance."""
_MOST_LATTICE_SLICES = 16384
"""Of uneven slices: a header that puts two of them a kilometre apart must not fill the memory."""


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
    is_gap: bool = False
    """Nothing is known of this place: it shows the least value of ``lower``, the slice before it."""


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a lattice."""

    first: tuple[int, int, int]
    """(slice, row, column) of its first lattice point."""
    shape: tuple[int, int, int]

    def holds(self, other: Box) -> bool:
        ends = zip(self.first, self.shape, other.first, other.shape, strict=True)
        return all(first <= one and one + length <= first + side for first, side, one, length in ends)


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
    name: str = ""
    """What tells it from the other volumes of its series, in plain words; empty for the only one."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """A series in order, and its volumes if it has any."""

    slices: tuple[SliceRef, ...]
    volumes: tuple[VolumeGeometry, ...] = ()
    """In the order of ``slices``; their lattices count in it."""
    reason: str | None = None
    """Why there is no volume, in plain words; None where there is one."""

    @property
    def volume(self) -> VolumeGeometry | None:
        """The one that is shown first: of most slices, and of these the first."""
        return max(self.volumes, key=slice_count, default=None)

    def chosen(self, number: int | None) -> VolumeGeometry:
        """Volume ``number``, counted from 0; the one that is shown first for None. Raises NotDrawable where it is not there."""
        volume = self.volume
        if volume is None:
            raise NotDrawable(self.reason or "The series is no volume.", key="no-volume")
        if number is None:
            return volume
        if not 0 <= number < len(self.volumes):
            raise NotDrawable(
                f"The series has no volume {number}: it has {len(self.volumes)}, counted from 0.", key="no-such-volume"
            )
        return self.volumes[number]


def cropped(volume: VolumeGeometry, box: Box) -> VolumeGeometry:
    """The part of ``volume`` that lies in ``box``, where it lies."""
    matrix = np.array(volume.index_to_patient)
    matrix[:3, 3] += matrix[:3, :3] @ np.array(box.first)
    first, last = box.first[0], box.first[0] + box.shape[0]
    return _placed(replace(volume, shape=box.shape, lattice=volume.lattice[first:last]), matrix)


def slices_of(volume: VolumeGeometry) -> tuple[int, ...]:
    """The slices of its arrangement that a volume is made of, ascending."""
    return tuple(sorted({number for part in volume.lattice for number in (part.lower, part.upper)}))


def slice_count(volume: VolumeGeometry) -> int:
    return len(slices_of(volume))


@dataclass(frozen=True, slots=True)
class _Stack:
    """Slices that may be one volume, ascending along their normal."""

    refs: tuple[SliceRef, ...]
    heights: NDArray[np.float64]
    name: str
    warnings: tuple[str, ...] = ()


def arranged(images: Sequence[ImageDescription]) -> Arrangement:
    """The slices of a series in order, and the volumes that they make or the reason why they make none.

    Stack by stack; within one ascending by position along its normal (PS3.3 C.7.6.2.1.1). By instance number and frame where
    positions are missing. Never refuses: what cannot be a volume is still shown slice by slice.
    """
    refs = _as_numbered(images)
    planes = [_plane_of(images, ref) for ref in refs]
    if not planes or any(plane.position_mm is None or plane_axes(plane) is None for plane in planes):
        return Arrangement(refs, (), _reason_without_positions(images, planes))
    alike = _alike(images, refs)
    if max(len(group) for group in alike) == 1 < len(refs):
        return Arrangement(refs, (), _reason_of_strangers(images, planes))
    stacks = [stack for group in alike for stack in _stacks(images, group, is_only=len(alike) == 1)]
    found = [_volume(images, stack, sum(len(other.refs) for other in stacks[:i])) for i, stack in enumerate(stacks)]
    volumes = tuple(each for each in found if isinstance(each, VolumeGeometry))
    reasons = [each for each in found if isinstance(each, str)]
    if volumes and len(volumes) < len(stacks):
        left = sum(len(stack.refs) for stack, each in zip(stacks, found, strict=True) if isinstance(each, str))
        volumes = tuple(_warned(volume, f"{left} other images of the series are no part of it.") for volume in volumes)
    if len(volumes) == 1:
        volumes = (replace(volumes[0], name=""),)
    ordered = tuple(ref for stack in stacks for ref in stack.refs)
    return Arrangement(ordered, volumes, None if volumes else reasons[0])


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


def plane_axes(plane: FramePlane) -> Axes | None:
    """The axes of a plane, made perpendicular to one another; None without a usable orientation. Nobody writes into them."""
    return None if plane.orientation is None else _axes(tuple(plane.orientation))


@lru_cache(maxsize=256)  # all slices of a stack have one orientation, and each is asked for it several times
def _axes(orientation: tuple[float, ...]) -> Axes | None:
    along_columns = np.array(orientation[:3], float)
    along_rows = np.array(orientation[3:], float)
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


def _plane_of(images: Sequence[ImageDescription], ref: SliceRef) -> FramePlane:
    return images[ref.image_index].frames[ref.frame_index].plane


def _reason_without_positions(images: Sequence[ImageDescription], planes: Sequence[FramePlane]) -> str:
    if not images:
        return "The series has no images."
    if len(planes) == 1:
        return "The series is a single picture."
    if any(image.is_colour for image in images):
        return "Colour pictures make no volume."
    return "The images do not say where in the patient they lie."


def _alike(images: Sequence[ImageDescription], refs: Sequence[SliceRef]) -> list[list[SliceRef]]:
    """Slices of one orientation, size, spacing and kind together, in the order in which the first of each came."""
    groups: list[list[SliceRef]] = []
    firsts: list[tuple[ImageDescription, FramePlane, Axes]] = []
    for ref in refs:
        image, plane = images[ref.image_index], _plane_of(images, ref)
        axes = plane_axes(plane)
        assert axes is not None
        for group, (first, first_plane, first_axes) in zip(groups, firsts, strict=True):
            if _is_of_kind(image, first) and _is_as_fine(plane, first_plane) and _is_parallel(axes, first_axes):
                group.append(ref)
                break
        else:
            if len(groups) == _MOST_STACKS:  # pictures from all sides: none of them will find its like
                groups[-1].append(ref)
                continue
            groups.append([ref])
            firsts.append((image, plane, axes))
    return groups


def _is_of_kind(one: ImageDescription, other: ImageDescription) -> bool:
    a, b = one.pixel_format, other.pixel_format
    return (a.rows, a.columns, one.is_colour) == (b.rows, b.columns, other.is_colour)


def _is_parallel(one: Axes, other: Axes) -> bool:
    return min(float(one[0] @ other[0]), float(one[1] @ other[1])) >= _SAME_DIRECTION_COSINE


def _is_as_fine(one: FramePlane, other: FramePlane) -> bool:
    if one.pixel_spacing_mm is None or other.pixel_spacing_mm is None:
        return one.pixel_spacing_mm == other.pixel_spacing_mm
    pairs = zip(one.pixel_spacing_mm, other.pixel_spacing_mm, strict=True)
    return all(abs(a - b) <= _SAME_SPACING_RELATIVE * b for a, b in pairs)


def _reason_of_strangers(images: Sequence[ImageDescription], planes: Sequence[FramePlane]) -> str:
    """Of images of which no two are of one stack."""
    axes = [each for each in map(plane_axes, planes) if each is not None]
    if any(image.is_colour for image in images):
        return "Colour pictures make no volume."
    if any(float(each[2] @ axes[0][2]) < _SAME_SIDE_COSINE for each in axes):
        return "The images look in different directions."
    if not all(_is_parallel(each, axes[0]) for each in axes):
        return "The images are tilted against one another."
    if not all(_is_as_fine(plane, planes[0]) for plane in planes):
        return "The images differ in pixel size."
    return "The images differ in size."


def _stacks(images: Sequence[ImageDescription], group: Sequence[SliceRef], *, is_only: bool) -> list[_Stack]:
    """A stack for each time that ``group``, which is in the order of numbers, shows its places."""
    planes = [_plane_of(images, ref) for ref in group]
    axes = plane_axes(planes[0])
    assert axes is not None
    heights = _positions(planes) @ axes[2]
    order = np.argsort(heights, kind="stable")
    distinct = _distinct(heights[order])
    of_place = np.searchsorted(heights[order][distinct], heights[order], side="right") - 1
    order = order[
        np.lexsort((order, of_place))
    ]  # at one place by number, whatever the last digits of the positions say
    refs, heights = [group[i] for i in order], heights[order]
    kind = "" if is_only else _name(axes[2])
    times = len(refs) / len(distinct)
    if len(distinct) < 2 or times < _SEVERAL_TIMES:
        twice = f"{len(refs) - len(distinct)} images lie at the place of another and are left out."
        return [_Stack(tuple(refs), heights, kind, (twice,) if 1 < times < _SEVERAL_TIMES else ())]
    # Which time of its place each is: by number and frame, since nothing else tells it of every modality.
    time_of = (np.arange(len(refs)) - np.array(distinct)[of_place]).tolist()
    stacks = []
    for time in range(max(time_of) + 1):
        mine = [i for i in range(len(refs)) if time_of[i] == time]
        name = f"{kind}, {time + 1} of {max(time_of) + 1}".removeprefix(", ")
        stacks.append(_Stack(tuple(refs[i] for i in mine), heights[mine], name))
    return stacks


def _name(normal: NDArray[np.float64]) -> str:
    """What radiologists call slices with this normal."""
    x, y, z = np.abs(normal)
    name = "sagittal" if x >= max(y, z) else "coronal" if y >= z else "axial"
    return name if max(x, y, z) > _SQUARE_COSINE else f"oblique {name}"


def _volume(images: Sequence[ImageDescription], stack: _Stack, first: int) -> VolumeGeometry | str:
    """The volume of a stack whose first slice is number ``first`` of the series, or why it has none."""
    members = [images[ref.image_index] for ref in stack.refs]
    planes = [_plane_of(images, ref) for ref in stack.refs]
    distinct = _distinct(stack.heights)
    chosen = [planes[i] for i in distinct]
    reason = _reason_of_kind(members, planes) or _reason_of_places(chosen)
    if reason:
        return reason
    at = stack.heights[distinct]
    warnings = list(stack.warnings)
    if len({image.frame_of_reference_uid for image in members}) > 1:
        # Against the standard within one series (PS3.3 C.7.4.1), and common after careless de-identification.
        warnings.append("The images name different frames of reference; they are taken as one.")
    found = _lattice(at, chosen, [first + i for i in distinct], warnings)
    if found is None:
        return "The images lie too far apart to be one volume."
    lattice, step_mm = found
    climb = _climb(chosen, at, warnings)
    if len(chosen) < 3:
        warnings.append("The volume has only two slices.")
    made = _on_lattice(members[0], chosen[0], lattice, climb * step_mm)
    return replace(made, warnings=tuple(warnings), name=stack.name)


def _reason_of_kind(images: Sequence[ImageDescription], planes: Sequence[FramePlane]) -> str | None:
    if len(planes) < 2:
        return "The series is a single picture."
    if any(image.is_colour for image in images):
        return "Colour pictures make no volume."
    axes = [each for each in map(plane_axes, planes) if each is not None]
    if not all(_is_parallel(each, axes[0]) for each in axes):
        return "The images look in different directions."
    spacing = planes[0].pixel_spacing_mm
    if spacing is None or min(spacing) <= 0:
        return "The images do not say how large their pixels are."
    return None


def _reason_of_places(planes: Sequence[FramePlane]) -> str | None:
    if len(planes) < 2:
        return "All images lie at the same place."
    if _farthest_from_line(planes) > _STRAIGHT_MM:
        return "The images do not lie behind one another in a straight line."
    return None


def _warned(volume: VolumeGeometry, warning: str) -> VolumeGeometry:
    return replace(volume, warnings=(*volume.warnings, warning))


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


def _climb(planes: Sequence[FramePlane], at: NDArray[np.float64], warnings: list[str]) -> NDArray[np.float64]:
    """Millimetres in the patient for each along the normal: not the normal itself where the gantry was tilted."""
    axes = plane_axes(planes[0])
    assert axes is not None
    positions = _positions((planes[0], planes[-1]))
    climb: NDArray[np.float64] = (positions[1] - positions[0]) / (at[-1] - at[0])
    tilt = float(np.degrees(np.arccos(np.clip(axes[2] @ climb / np.linalg.norm(climb), -1, 1))))
    if tilt > _TILTED_DEGREES:
        warnings.append(f"The gantry was tilted by {tilt:.1f} degrees; the slices are drawn at their true places.")
    return climb


def _on_lattice(
    image: ImageDescription, first: FramePlane, lattice: tuple[LatticeSlice, ...], along_slices: NDArray[np.float64]
) -> VolumeGeometry:
    """The volume whose first slice is ``first``, and whose lattice slices are ``along_slices`` apart in the patient."""
    axes, spacing = plane_axes(first), first.pixel_spacing_mm
    assert axes is not None
    assert spacing is not None
    along_columns, along_rows, _ = axes
    shape = (len(lattice), image.pixel_format.rows, image.pixel_format.columns)
    matrix = np.eye(4)
    # PS3.3 C.7.6.2.1-1 with the index as (slice, row, column). Pixel Spacing is the distance between rows first: it
    # steps in the direction in which the row index grows.
    matrix[:3, 0] = along_slices
    matrix[:3, 1] = along_rows * spacing[0]
    matrix[:3, 2] = along_columns * spacing[1]
    matrix[:3, 3] = _positions((first,))[0]
    spacing_mm = (float(np.linalg.norm(matrix[:3, 0])), float(spacing[0]), float(spacing[1]))
    return _placed(VolumeGeometry(shape, spacing_mm, (), (0, 0, 0), (0, 0, 0), lattice), matrix)


def _placed(volume: VolumeGeometry, matrix: NDArray[np.float64]) -> VolumeGeometry:
    """``volume`` where ``matrix``, 4x4, takes its indices to in the patient."""
    middle = matrix[:3, :3] @ ((np.array(volume.shape) - 1) / 2) + matrix[:3, 3]
    size = np.abs(matrix[:3, :3]) @ np.array(volume.shape)
    return replace(
        volume,
        index_to_patient=tuple(tuple(float(value) for value in row) for row in matrix),
        center_mm=(float(middle[0]), float(middle[1]), float(middle[2])),
        size_mm=(float(size[0]), float(size[1]), float(size[2])),
    )


def _lattice(
    at: NDArray[np.float64], planes: Sequence[FramePlane], numbers: Sequence[int], warnings: list[str]
) -> tuple[tuple[LatticeSlice, ...], float] | None:
    """The lattice slices and their distance in mm along the normal, for slices at the ascending places ``at``.

    ``numbers`` are those of the slices in the series. None where it would have too many.
    """
    steps = np.diff(at)
    mean = float(steps.mean())
    if np.abs(at - np.linspace(at[0], at[-1], len(at))).max() <= _EVEN_RELATIVE * mean:
        return tuple(LatticeSlice(i, i) for i in numbers), mean
    usual = float(np.median(steps))
    is_gap = _gaps(steps, usual, planes)
    # As fine as the finest distance, so that no slice is lost, within reason.
    finest = max(float(steps.min()), usual / _FINEST_LATTICE)
    if (at[-1] - at[0]) / finest > _MOST_LATTICE_SLICES:
        return None
    if is_gap.any():
        missing = (steps[is_gap].sum() - usual * is_gap.sum()).item()
        warnings.append(f"There are gaps between the slices, of {missing:.1f} mm together; nothing is shown in them.")
    if not is_gap.all() and (steps[~is_gap].max() - steps[~is_gap].min()) > _EVEN_RELATIVE * usual:
        there = steps[~is_gap]
        warnings.append(
            f"The slices lie {there.min():.2f} to {there.max():.2f} mm apart; what lies between them is interpolated."
        )
    count = max(2, round((at[-1] - at[0]) / finest) + 1)
    places = np.linspace(at[0], at[-1], count)
    lower = np.clip(np.searchsorted(at, places, side="right") - 1, 0, len(at) - 2)
    weights = np.clip((places - at[lower]) / steps[lower], 0, 1)
    made = []
    for i, weight in zip(lower.tolist(), weights.tolist(), strict=True):
        of_gap = usual / 2 if is_gap[i] else None
        made.append(_between(numbers[i], numbers[i + 1], weight, float(steps[i]), of_gap))
    return tuple(made), float(places[1] - places[0])


def _gaps(steps: NDArray[np.float64], usual: float, planes: Sequence[FramePlane]) -> NDArray[np.bool_]:
    """Whether each distance is a place where slices are missing, and not one that was meant."""
    thickness = np.array([plane.slice_thickness_mm or 0.0 for plane in planes])
    beside = np.maximum(thickness[:-1], thickness[1:])
    return np.asarray((steps > _GAP_RELATIVE * usual) & (steps > _GAP_RELATIVE * beside))


def _between(lower: int, upper: int, weight: float, step_mm: float, reach_mm: float | None) -> LatticeSlice:
    """``weight`` of the way from one slice to the next; in a gap each slice reaches as far as ``reach_mm``."""
    near = 1e-3 if reach_mm is None else max(1e-3, reach_mm / step_mm - 1e-3)
    if weight < near:
        return LatticeSlice(lower, lower)
    if weight > 1 - near:
        return LatticeSlice(upper, upper)
    if reach_mm is not None:
        return LatticeSlice(lower, lower, is_gap=True)
    return LatticeSlice(lower, upper, weight)
