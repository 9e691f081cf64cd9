"""Regions of the patient that are laid over slices: segments of a segmentation, structures of radiotherapy.

They go out as SVG paths in pixels of the slice that they lie on, (0, 0) being the outer corner of its first pixel. A path is
exact at every zoom, is asked for once, is some hundred bytes where a picture of it would be thousands, and each region can be
hidden by itself without asking again: what a bad line can carry.

References: PS3.3 C.8.20 (segmentation), C.8.8.5 and C.8.8.6 (structure set, ROI contour), C.10.7.1.1 (CIELab).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = tuple[float, float, float, float, float, float]
"""As SVG has it: x' = a x + c y + e, y' = b x + d y + f."""

UNCHANGED: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
HUNDREDTHS: Matrix = (0.01, 0.0, 0.0, 0.01, 0.0, 0.0)
BANDS = 8
"""Into so many degrees a fraction is divided; the opacity of each is that of its middle."""

_USUAL_COLOURS = ("#e6c229", "#5bc0eb", "#f17105", "#9bc53d", "#d11149", "#a47fe0", "#1a8fe3", "#f7a1c4")
_D50 = np.array([0.9642, 1.0, 0.8249])
_D50_TO_SRGB = np.array(
    [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540], [0.0719453, -0.2289914, 1.4052427]]
)
"""XYZ under D50 to linear sRGB, adapted by Bradford."""


@dataclass(frozen=True, slots=True)
class Region:
    number: int
    """As the file counts."""
    name: str
    colour: str
    """#rrggbb."""


@dataclass(frozen=True, slots=True)
class SegmentFrame:
    """Whose a frame of a segmentation is, and of which images it was made."""

    number: int | None
    """Of the segment; None where its values are the numbers (label map)."""
    sources: tuple[tuple[str, int | None], ...] = ()
    """Instance UID, and the frame, counted from 1, where one is named."""


@dataclass(frozen=True, slots=True)
class Segmentation:
    regions: tuple[Region, ...]
    frames: tuple[SegmentFrame, ...]
    maximum: int | None
    """The value of a pixel that wholly belongs to it, of a fractional one; None of the others."""


@dataclass(frozen=True, slots=True)
class Contour:
    number: int
    """Of its structure."""
    kind: str
    """Contour Geometric Type (C.8.8.6.1)."""
    points: bytes
    """(points, 3) in patient space, mm: doubles, little endian."""

    def points_mm(self) -> NDArray[np.float64]:
        return np.frombuffer(self.points, "<f8").reshape(-1, 3)


@dataclass(frozen=True, slots=True)
class StructureSet:
    regions: tuple[Region, ...]
    contours: tuple[Contour, ...]
    frame_of_reference_uid: str
    about_series: tuple[str, ...]
    """UIDs of the series on which it was drawn, as it says itself."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A region on a slice."""

    number: int
    path: str
    matrix: Matrix
    """From what the path counts in to pixels of the slice."""
    opacity: float
    """0 to 1: which part of the pixels within belongs to it."""
    is_closed: bool


@dataclass(frozen=True, slots=True)
class Plane:
    """Where a grid of pixels lies."""

    position_mm: NDArray[np.float64]
    """Centre of the first pixel."""
    across: NDArray[np.float64]
    """Unit vector in which the column index grows; so ``down`` the row index."""
    down: NDArray[np.float64]
    row_spacing_mm: float
    column_spacing_mm: float

    @classmethod
    def of(
        cls,
        position: Sequence[float] | None,
        orientation: Sequence[float] | None,
        spacing: Sequence[float] | None,
    ) -> Plane | None:
        """``spacing`` is between rows, then between columns. None where one of them is not known."""
        if position is None or orientation is None or spacing is None:
            return None
        return cls(np.array(position), np.array(orientation[:3]), np.array(orientation[3:]), spacing[0], spacing[1])

    @property
    def normal(self) -> NDArray[np.float64]:
        return np.cross(self.across, self.down)

    def is_parallel_to(self, other: Plane) -> bool:
        return bool(abs(self.normal @ other.normal) > 1 - 1e-4)

    def heights_mm(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far above the plane points lie; ``points_mm`` is (…, 3)."""
        heights: NDArray[np.float64] = (points_mm - self.position_mm) @ self.normal
        return heights

    def pixels(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """(…, 2): column and row of points, (0, 0) being the outer corner of the first pixel."""
        way = points_mm - self.position_mm
        columns = way @ self.across / self.column_spacing_mm + 0.5
        rows = way @ self.down / self.row_spacing_mm + 0.5
        return np.stack([columns, rows], axis=-1)

    def matrix_to(self, other: Plane) -> Matrix:
        """From pixels of this plane to those of one that is parallel."""
        corner = self.position_mm - 0.5 * (self.across * self.column_spacing_mm + self.down * self.row_spacing_mm)
        points = np.stack(
            [corner, corner + self.across * self.column_spacing_mm, corner + self.down * self.row_spacing_mm]
        )
        (e, f), x, y = other.pixels(points)
        found = (x[0] - e, x[1] - f, y[0] - e, y[1] - f, e, f)
        a, b, c, d, e, f = (round(float(number), 6) + 0.0 for number in found)
        return a, b, c, d, e, f


def usual_colour(place: int) -> str:
    """Of a region whose file names none."""
    return _USUAL_COLOURS[place % len(_USUAL_COLOURS)]


def colour_of_lab(words: Sequence[int]) -> str:
    """Recommended Display CIELab Value, three words of 16 bit, as #rrggbb of sRGB (C.10.7.1.1; ICC's connection space, D50)."""
    lightness = words[0] / 65535 * 100
    a, b = (word / 65535 * 255 - 128 for word in words[1:3])
    middle = (lightness + 16) / 116
    curved = np.array([middle + a / 500, middle, middle - b / 200])
    ratios = np.where(curved > 6 / 29, curved**3, 3 * (6 / 29) ** 2 * (curved - 4 / 29))
    linear = np.clip(_D50_TO_SRGB @ (ratios * _D50), 0, 1)
    coded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return "#" + "".join(f"{round(float(one) * 255):02x}" for one in coded)


def outlined(values: NDArray[np.generic], number: int | None, maximum: int | None) -> Iterator[tuple[int, float, str]]:
    """(number, opacity, path) of each region in a frame of (rows, columns); of fractions one for each degree that occurs."""
    if number is None:
        for label in np.unique(values):
            if label:
                yield int(label), 1.0, boundary(values == label)
        return
    if maximum is None:
        if values.any():
            yield number, 1.0, boundary(values != 0)
        return
    degrees = np.ceil(np.minimum(values.astype(np.float64) / maximum, 1.0) * BANDS).astype(np.int64)
    for degree in np.unique(degrees):
        if degree:
            yield number, (float(degree) - 0.5) / BANDS if degree < BANDS else 1.0, boundary(degrees == degree)


def boundary(mask: NDArray[np.bool_]) -> str:
    """Closed lines along the edges of the pixels of ``mask``, (rows, columns); by evenodd they enclose those and no others."""
    return "".join(_loop(corners) for corners in _loops(mask))


def _loops(mask: NDArray[np.bool_]) -> Iterator[list[tuple[int, int]]]:
    """Corners (x, y) of each line, edge after edge, the pixels on its right."""
    padded = np.pad(mask, 1).astype(np.int8)
    # Between rows: +1 where a pixel begins below, whose upper edge goes to the right; -1 where one ends, whose lower goes left.
    steps_down, steps_across = np.diff(padded, axis=0)[:, 1:-1], np.diff(padded, axis=1)[1:-1]
    ways: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for y, x in np.argwhere(steps_down == 1).tolist():
        ways.setdefault((x, y), []).append((x + 1, y))
    for y, x in np.argwhere(steps_down == -1).tolist():
        ways.setdefault((x + 1, y), []).append((x, y))
    for y, x in np.argwhere(steps_across == 1).tolist():
        ways.setdefault((x, y + 1), []).append((x, y))
    for y, x in np.argwhere(steps_across == -1).tolist():
        ways.setdefault((x, y), []).append((x, y + 1))
    while ways:
        start = next(iter(ways))
        corners, at = [start], _next(ways, start)
        while at != start:
            corners.append(at)
            at = _next(ways, at)
        yield corners


def _next(ways: dict[tuple[int, int], list[tuple[int, int]]], at: tuple[int, int]) -> tuple[int, int]:
    """Where two lines meet in a corner either may be taken: what they enclose together is the same."""
    there = ways[at].pop()
    if not ways[at]:
        del ways[at]
    return there


def _loop(corners: Sequence[tuple[int, int]]) -> str:
    """Relative, horizontal and vertical in turn; edges in one direction are one."""
    x, y = corners[0]
    words, run, is_across = [f"M{x} {y}"], 0, True
    for (fx, fy), (tx, ty) in zip(corners, (*corners[1:], corners[0]), strict=True):
        goes_across, step = ty == fy, (tx - fx) + (ty - fy)
        if run and (goes_across != is_across or (step > 0) != (run > 0)):
            words.append(f"{'h' if is_across else 'v'}{run}")
            run = 0
        is_across, run = goes_across, run + step
    words.append(f"{'h' if is_across else 'v'}{run}z")
    return "".join(words)


def line_path(points: NDArray[np.float64], *, is_closed: bool) -> str:
    """Through (points, 2), in hundredths, relative to what is already rounded: errors do not add up."""
    whole = np.round(points * 100).astype(np.int64)
    steps = np.diff(whole, axis=0)
    steps = steps[np.any(steps != 0, axis=1)]
    x, y = whole[0].tolist()
    way = "l" + " ".join(f"{dx} {dy}" if dy >= 0 else f"{dx}{dy}" for dx, dy in steps.tolist()) if len(steps) else "h0"
    return f"M{x} {y}{way}{'z' if is_closed else ''}"
