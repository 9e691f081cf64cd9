"""How long, how wide and at what angle things in a picture are, and what that rests on.

Points are (column, row) in pixels of the frame: (0, 0) is the outer corner of its first pixel, (columns, rows) that of its last,
as in PS3.3 C.10.5.1.2 and C.18.6.1.1. A *scale* says what a pixel is worth in a part of a frame; each names its *basis*, since a
millimetre at a detector is none in the patient. Where nothing gives one, lengths are told in pixels and in nothing else.

References: PS3.3 10.7.1.3 (Pixel Spacing and what it is calibrated by), C.8.5.5 (ultrasound regions), C.8.7.5.1 and C.8.11.7
(Imager Pixel Spacing, Estimated Radiographic Magnification Factor), C.8.6.2 (Nominal Scanned Pixel Spacing).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from appliance.domain.attributes import Attributes
from appliance.domain.errors import BadRequest
from appliance.domain.image import ImageDescription

Point = tuple[float, float]
"""(column, row)."""

MOST_POINTS = 256
"""Of an outline: a hand's line, thinned, has fewer."""
MM, PX, DEGREES = "mm", "px", "deg"


class Kind(StrEnum):
    """What is drawn."""

    LENGTH = "length"
    """Two points."""
    ANGLE = "angle"
    """An end, the vertex, the other end."""
    COBB = "cobb"
    """Two lines, each by its ends."""
    RECTANGLE = "rectangle"
    """Two opposite corners."""
    ELLIPSE = "ellipse"
    """Two opposite corners of the rectangle around it."""
    FREEHAND = "freehand"
    """The corners of an area, which closes itself."""
    ARROW = "arrow"
    """The point, then where it comes from."""
    TEXT = "text"
    """Where it stands."""
    CALIBRATION = "calibration"
    """Two points whose distance in millimetres somebody knows."""


POINT_COUNTS: dict[Kind, tuple[int, int]] = {
    Kind.LENGTH: (2, 2),
    Kind.ANGLE: (3, 3),
    Kind.COBB: (4, 4),
    Kind.RECTANGLE: (2, 2),
    Kind.ELLIPSE: (2, 2),
    Kind.FREEHAND: (3, MOST_POINTS),
    Kind.ARROW: (2, 2),
    Kind.TEXT: (1, 1),
    Kind.CALIBRATION: (2, 2),
}
"""Least and most points of each."""
REGIONS = frozenset({Kind.RECTANGLE, Kind.ELLIPSE, Kind.FREEHAND})
"""What has an inside."""


class Basis(StrEnum):
    """What a scale rests on."""

    PIXEL_SPACING = "pixel-spacing"
    """Pixel Spacing of a picture of a plane in the patient."""
    CALIBRATED = "calibrated"
    """Pixel Spacing of a projection that says that it was calibrated, by a known object or by geometry."""
    UNSPECIFIED = "unspecified"
    """Pixel Spacing of a projection or of a captured picture that does not say how it was come by."""
    MAGNIFICATION = "magnification"
    """Imager Pixel Spacing over the magnification that the device estimated."""
    DETECTOR = "detector"
    """Imager Pixel Spacing: at the detector. What is nearer to the source is smaller than it measures."""
    SCANNED = "scanned"
    """Nominal Scanned Pixel Spacing: on the film or paper that was scanned."""
    ULTRASOUND_REGION = "ultrasound-region"
    """The region of the picture in which it lies."""
    MANUAL = "manual"
    """A length in the picture that somebody knew."""
    NONE = "none"
    """Nothing: pixels are counted."""


@dataclass(frozen=True, slots=True)
class Axis:
    """What a step of one pixel along columns or rows is."""

    unit: str
    """``mm``, ``px``, or what a region of an ultrasound has: ``s``, ``Hz``, ``cm/s``, …"""
    per_pixel: float
    """Above 0."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What pixels are worth in a part of a frame."""

    basis: Basis
    x: Axis
    """Along a row: from column to column."""
    y: Axis
    part: tuple[float, float, float, float] | None = None
    """(left, top, right, bottom): outer corners of its pixels. None where it counts everywhere."""

    def holds(self, points: Sequence[Point]) -> bool:
        if self.part is None:
            return True
        left, top, right, bottom = self.part
        return all(left <= x <= right and top <= y <= bottom for x, y in points)

    @property
    def is_even(self) -> bool:
        """Whether both axes count the same, so that there are lengths across them, areas and angles."""
        return self.x.unit == self.y.unit and self.x.unit in (MM, PX)


@dataclass(frozen=True, slots=True)
class Quantity:
    """One number of a measurement."""

    name: str
    """``length``, ``angle``, ``area``, or ``along`` and ``across``: the parts of a length along columns and rows whose units
    are not the same."""
    value: float
    unit: str


_PROJECTIONS = frozenset({"CR", "DX", "MG", "PX", "IO", "XA", "RF", "RG", "XC", "DG", "OT", "SC", "GM", "OP", "ES"})
"""Modalities whose pictures are no planes in the patient: what their Pixel Spacing means is told beside it, or not at all."""
_SAME_SPACING = 1e-4
"""Two spacings whose relative difference is below this are one that was written twice."""
_HIGH_PRIORITY = 0b1
"""Region Flags, bit 0 (C.8.5.5.1.3): where regions overlap, the pixels are this one's."""
_CENTIMETRES = 3
_US_UNITS = {
    1: ("%", 1.0),
    2: ("dB", 1.0),
    _CENTIMETRES: (MM, 10.0),
    4: ("s", 1.0),
    5: ("Hz", 1.0),
    6: ("dB/s", 1.0),
    7: ("cm/s", 1.0),
    8: ("cm2", 1.0),
    9: ("cm2/s", 1.0),
    10: ("cm3", 1.0),
    11: ("cm3/s", 1.0),
    12: (DEGREES, 1.0),
}
"""Physical Units X and Y Direction (C.8.5.5.1.15): how we write them, and by what theirs is multiplied. 0 is none."""


def scales_of(image: ImageDescription, frame_index: int, attributes: Attributes) -> tuple[Scale, ...]:
    """The scales of a frame; for points counts the first that holds all of them. The last one holds them all.

    ``attributes`` are those of the instance.
    """
    return (*_known_scales(image, frame_index, attributes), _pixels(image, frame_index))


def _known_scales(image: ImageDescription, frame_index: int, attributes: Attributes) -> tuple[Scale, ...]:
    regions = attributes.items("00186011")
    if regions:  # what lies outside of its regions is measured by nothing (C.8.5.5)
        found = [(region.number("00186016") or 0, _region(region)) for region in regions]
        known = [(int(flags), scale) for flags, scale in found if scale is not None]
        return tuple(scale for _, scale in sorted(known, key=lambda one: not one[0] & _HIGH_PRIORITY))
    basis, spacing = _spacing(image, frame_index, attributes)
    if basis is Basis.NONE:
        return ()
    return (Scale(basis, Axis(MM, spacing[1]), Axis(MM, spacing[0])),)


def _region(region: Attributes) -> Scale | None:
    """A region of an ultrasound, both of whose corners are pixels of it; None of one that is calibrated along no axis."""
    corners = [region.number(tag) for tag in ("00186018", "0018601A", "0018601C", "0018601E")]
    left, top, right, bottom = (math.nan if corner is None else corner for corner in corners)
    x, y = _us_axis(region, "00186024", "0018602C"), _us_axis(region, "00186026", "0018602E")
    if not (left <= right and top <= bottom) or (x.unit, y.unit) == (PX, PX):
        return None
    return Scale(Basis.ULTRASOUND_REGION, x, y, (left, top, right + 1, bottom + 1))


def _us_axis(region: Attributes, unit_tag: str, delta_tag: str) -> Axis:
    """Deltas may be negative, where the physical values fall along the pixels (C.8.5.5.1.17): a length has no sign."""
    known, delta = _US_UNITS.get(int(region.number(unit_tag) or 0)), abs(region.number(delta_tag) or 0.0)
    return Axis(known[0], delta * known[1]) if known and delta else Axis(PX, 1.0)


def _spacing(image: ImageDescription, frame_index: int, attributes: Attributes) -> tuple[Basis, tuple[float, float]]:
    """The basis, and the distance between rows, then between columns, in millimetres (PS3.3 10.7.1.3)."""
    spacing = image.frames[frame_index].plane.pixel_spacing_mm
    if image.modality not in _PROJECTIONS:
        return (Basis.PIXEL_SPACING, spacing) if spacing else (Basis.NONE, (1.0, 1.0))
    imager = _pair(attributes, "00181164")
    if spacing:
        is_told = attributes.text("00280A02").upper() in ("FIDUCIAL", "GEOMETRY")
        if imager and _is_same(spacing, imager) and not is_told:
            return _at_detector(imager, attributes)
        return Basis.CALIBRATED if is_told or imager else Basis.UNSPECIFIED, spacing
    if imager:
        return _at_detector(imager, attributes)
    scanned = _pair(attributes, "00182010")
    return (Basis.SCANNED, scanned) if scanned else (Basis.NONE, (1.0, 1.0))


def _at_detector(imager: tuple[float, float], attributes: Attributes) -> tuple[Basis, tuple[float, float]]:
    factor = attributes.number("00181114")
    if factor is None or factor <= 0:
        return Basis.DETECTOR, imager
    return Basis.MAGNIFICATION, (imager[0] / factor, imager[1] / factor)


def _pair(attributes: Attributes, tag: str) -> tuple[float, float] | None:
    found = attributes.numbers(tag)
    return (found[0], found[1]) if len(found) == 2 and min(found) > 0 else None


def _is_same(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(math.isclose(a, b, rel_tol=_SAME_SPACING) for a, b in zip(one, other, strict=True))


def _pixels(image: ImageDescription, frame_index: int) -> Scale:
    """Pixels are counted, in widths of one: rows that are further apart than columns count more."""
    spacing = image.frames[frame_index].plane.pixel_spacing_mm
    aspect = spacing[0] / spacing[1] if spacing else image.pixel_aspect_ratio
    return Scale(Basis.NONE, Axis(PX, 1.0), Axis(PX, aspect))


def calibrated(points: Sequence[Point], length_mm: float, pixels: Scale) -> Scale:
    """The scale by which the distance of two points is ``length_mm``; ``pixels`` is the last of ``scales_of``."""
    length = _distance(points[0], points[1], pixels)
    if not length > 0 or not length_mm > 0:
        raise BadRequest("A calibration has two points and a length above 0", parameter="length_mm")
    mm = length_mm / length
    x, y = Axis(MM, pixels.x.per_pixel * mm), Axis(MM, pixels.y.per_pixel * mm)
    return Scale(Basis.MANUAL, x, y)


def scale_for(points: Sequence[Point], scales: Sequence[Scale]) -> Scale:
    """The one that counts for all of the points."""
    return next(scale for scale in scales if scale.holds(points))


def measured(kind: Kind, points: Sequence[Point], scales: Sequence[Scale]) -> tuple[Quantity, ...]:
    """What follows from the points alone; nothing of an arrow and a text, nor where the axes of the scale do not go together."""
    scale = scale_for(points, scales)
    if kind in (Kind.LENGTH, Kind.CALIBRATION):
        return _length(points, scale)
    if kind in (Kind.ANGLE, Kind.COBB) and scale.is_even:
        return (Quantity("angle", _angle(kind, points, scale), DEGREES),)
    if kind in REGIONS and scale.is_even:
        unit = f"{scale.x.unit}2"
        return (Quantity("area", area_px(kind, points) * scale.x.per_pixel * scale.y.per_pixel, unit),)
    return ()


def _length(points: Sequence[Point], scale: Scale) -> tuple[Quantity, ...]:
    if scale.is_even:
        return (Quantity("length", _distance(points[0], points[1], scale), scale.x.unit),)
    along, across = (abs(points[1][i] - points[0][i]) for i in (0, 1))
    parts = (("along", along, scale.x), ("across", across, scale.y))
    return tuple(Quantity(name, pixels * axis.per_pixel, axis.unit) for name, pixels, axis in parts if axis.unit != PX)


def _distance(one: Point, other: Point, scale: Scale) -> float:
    return math.hypot((other[0] - one[0]) * scale.x.per_pixel, (other[1] - one[1]) * scale.y.per_pixel)


def _angle(kind: Kind, points: Sequence[Point], scale: Scale) -> float:
    """Degrees: at the vertex from 0 to 180; of two lines that have no direction, the smaller one."""
    if kind is Kind.ANGLE:
        return _between(_step(points[1], points[0], scale), _step(points[1], points[2], scale))
    angle = _between(_step(points[0], points[1], scale), _step(points[2], points[3], scale))
    return min(angle, 180 - angle)


def _step(start: Point, end: Point, scale: Scale) -> Point:
    return (end[0] - start[0]) * scale.x.per_pixel, (end[1] - start[1]) * scale.y.per_pixel


def _between(a: Point, b: Point) -> float:
    cross, dot = a[0] * b[1] - a[1] * b[0], a[0] * b[0] + a[1] * b[1]
    return math.degrees(abs(math.atan2(cross, dot)))


def area_px(kind: Kind, points: Sequence[Point]) -> float:
    """Of the figure itself, in pixels; of an outline that crosses itself, what it goes round one way less the other."""
    if kind is Kind.FREEHAND:
        following = [*points[1:], points[0]]
        return abs(sum(a[0] * b[1] - a[1] * b[0] for a, b in zip(points, following, strict=True))) / 2
    width, height = abs(points[1][0] - points[0][0]), abs(points[1][1] - points[0][1])
    return width * height * (math.pi / 4 if kind is Kind.ELLIPSE else 1)


def check_points(kind: Kind, points: Sequence[Point]) -> None:
    """Returns if ``kind`` may have these points. Raises BadRequest."""
    least, most = POINT_COUNTS[kind]
    if not least <= len(points) <= most:
        count = f"{least} points" if least == most else f"{least} to {most} points"
        raise BadRequest(f"A {kind} has {count}", parameter="points")
    if not all(math.isfinite(part) and abs(part) <= _FARTHEST_PX for point in points for part in point):
        raise BadRequest(f"A point is no number, or further than {_FARTHEST_PX} pixels away", parameter="points")


_FARTHEST_PX = 100_000
