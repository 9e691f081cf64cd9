"""Which pixels lie in a region: against a plain look at each pixel's centre."""

from __future__ import annotations

import math

import numpy as np
import pytest

from appliance.domain.identifiers import InstanceUid
from appliance.domain.image import FrameDescription, ImageDescription, PixelFormat
from appliance.domain.measuring import Kind, Point
from appliance.domain.regions import Region, covered, region_values

ROWS, COLUMNS = 40, 50
BOX = ((10.3, 4.2), (30.9, 20.5))
STAR: tuple[Point, ...] = ((5, 5), (45, 12.5), (8, 30), (30, 2.25), (33.5, 38))
BEYOND = ((-20.0, -10.0), (25.0, 60.0))


def inside(region: Region) -> np.ndarray:
    mask = np.zeros((ROWS, COLUMNS), bool)
    rows, columns, part = covered(region, ROWS, COLUMNS)
    mask[rows, columns] = part
    return mask


def is_inside(kind: Kind, points: tuple[Point, ...], x: float, y: float) -> bool:
    if kind is Kind.FREEHAND:
        crossings = 0
        for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
            if min(y0, y1) <= y < max(y0, y1) and x0 + (x1 - x0) * (y - y0) / (y1 - y0) < x:
                crossings += 1
        return crossings % 2 == 1
    (left, right), (top, bottom) = (sorted(part) for part in zip(*points, strict=True))
    if kind is Kind.RECTANGLE:
        return left <= x <= right and top <= y <= bottom
    across, down = (right - left) / 2, (bottom - top) / 2
    return math.hypot((x - left - across) / across, (y - top - down) / down) <= 1


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        (Kind.RECTANGLE, BOX),
        (Kind.RECTANGLE, (BOX[1], BOX[0])),
        (Kind.ELLIPSE, BOX),
        (Kind.ELLIPSE, BEYOND),
        (Kind.FREEHAND, STAR),
        (Kind.FREEHAND, STAR[::-1]),
        (Kind.FREEHAND, ((-5.0, -5.0), (60.0, 20.0), (10.0, 55.0))),
    ],
)
def test_a_pixel_is_inside_if_its_centre_is(kind: Kind, points: tuple[Point, ...]) -> None:
    expected = [[is_inside(kind, points, x + 0.5, y + 0.5) for x in range(COLUMNS)] for y in range(ROWS)]

    assert (inside(Region(kind, points)) == np.array(expected)).all()


@pytest.mark.parametrize("kind", [Kind.RECTANGLE, Kind.ELLIPSE])
def test_beside_the_picture_there_is_nothing(kind: Kind) -> None:
    assert not inside(Region(kind, ((60, 60), (70, 70)))).any()
    assert not inside(Region(kind, ((10.6, 10), (10.9, 20)))).any()


def image(
    padding: tuple[int, int] | None = None, photometric: str = "MONOCHROME2", samples: int = 1
) -> ImageDescription:
    form = PixelFormat(ROWS, COLUMNS, samples, 16, 16, 15, True, photometric, padding=padding)
    frame = FrameDescription(((0, 1),), rescale_slope=2.0, rescale_intercept=-1000.0)
    return ImageDescription(InstanceUid("1.2"), "1.2", "1.2", "CT", form, (frame,))


def test_values_are_those_after_the_modality_lut() -> None:
    stored = np.arange(ROWS * COLUMNS, dtype=np.int16).reshape(ROWS, COLUMNS)

    found = region_values(stored, image(), 0, Region(Kind.RECTANGLE, ((10, 5), (20, 15))))

    expected = stored[5:15, 10:20] * 2.0 - 1000
    assert (found.count, found.padding_count) == (100, 0)
    assert found.mean == pytest.approx(expected.mean())
    assert found.standard_deviation == pytest.approx(expected.std())
    assert (found.minimum, found.maximum) == (expected.min(), expected.max())


def test_padding_is_counted_apart() -> None:
    stored = np.full((ROWS, COLUMNS), 7, np.int16)
    stored[:, :12] = -2000

    found = region_values(stored, image(padding=(-2000, -2000)), 0, Region(Kind.RECTANGLE, ((10, 0), (20, 10))))
    nothing = region_values(stored, image(padding=(-2000, -2000)), 0, Region(Kind.RECTANGLE, ((0, 0), (10, 10))))

    assert (found.count, found.padding_count, found.minimum) == (80, 20, 7 * 2 - 1000)
    assert (nothing.count, nothing.padding_count, nothing.mean) == (0, 100, None)


def test_colours_are_counted_and_have_no_mean() -> None:
    stored = np.zeros((ROWS, COLUMNS, 3), np.uint8)

    found = region_values(stored, image(photometric="RGB", samples=3), 0, Region(Kind.RECTANGLE, ((0, 0), (10, 10))))

    assert (found.count, found.mean, found.maximum) == (100, None, None)
