"""Lengths, angles and areas, and what they rest on."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from appliance.domain.attributes import Attributes
from appliance.domain.errors import BadRequest
from appliance.domain.identifiers import InstanceUid
from appliance.domain.image import FrameDescription, FramePlane, ImageDescription, PixelFormat
from appliance.domain.measuring import (
    Basis,
    Kind,
    Point,
    Quantity,
    calibrated,
    check_points,
    measured,
    scale_for,
    scales_of,
)

CM, SECONDS, NONE = 3, 4, 0


def image(modality: str, spacing: tuple[float, float] | None = None, aspect: float = 1.0) -> ImageDescription:
    form = PixelFormat(100, 200, 1, 8, 8, 7, False, "MONOCHROME2")
    frame = FrameDescription(((0, 1),), plane=FramePlane(pixel_spacing_mm=spacing))
    return ImageDescription(InstanceUid("1.2"), "1.2", "1.2", modality, form, (frame,), pixel_aspect_ratio=aspect)


def attributes(**values: Any) -> Attributes:
    return Attributes({name.removeprefix("t"): {"vr": "DS", "Value": value} for name, value in values.items()})


def region(
    corners: tuple[int, int, int, int], units: tuple[int, int], deltas: tuple[float, float], flags: int = 0
) -> Any:
    tags = ("00186018", "0018601A", "0018601C", "0018601E", "00186024", "00186026", "0018602C", "0018602E", "00186016")
    return {
        tag: {"vr": "FD", "Value": [value]} for tag, value in zip(tags, (*corners, *units, *deltas, flags), strict=True)
    }


def quantities(of: ImageDescription, said: Attributes, kind: Kind, *points: Point) -> tuple[Quantity, ...]:
    return measured(kind, points, scales_of(of, 0, said))


def basis(of: ImageDescription, said: Attributes, *points: Point) -> Basis:
    return scale_for(points, scales_of(of, 0, said)).basis


def test_a_plane_in_the_patient_is_measured_by_its_pixel_spacing() -> None:
    # Two millimetres between rows, half a one between columns.
    (found,) = quantities(image("CT", (2.0, 0.5)), attributes(), Kind.LENGTH, (10, 10), (16, 12))

    assert (found.name, found.unit) == ("length", "mm")
    assert found.value == pytest.approx(5)


def test_without_a_spacing_widths_of_pixels_are_counted() -> None:
    plain, high = image("RF"), image("RF", aspect=2.0)

    assert quantities(plain, attributes(), Kind.LENGTH, (0, 0), (3, 4)) == (Quantity("length", 5.0, "px"),)
    assert quantities(high, attributes(), Kind.LENGTH, (0, 0), (0, 4)) == (Quantity("length", 8.0, "px"),)
    assert basis(plain, attributes(), (0, 0)) is Basis.NONE


@pytest.mark.parametrize(
    ("spacing", "said", "expected"),
    [
        ((0.2, 0.2), {}, (Basis.UNSPECIFIED, 2.0)),
        ((0.2, 0.2), {"t00280A02": ["FIDUCIAL"]}, (Basis.CALIBRATED, 2.0)),
        ((0.2, 0.2), {"t00181164": [0.2, 0.2]}, (Basis.DETECTOR, 2.0)),
        ((0.1, 0.1), {"t00181164": [0.2, 0.2]}, (Basis.CALIBRATED, 1.0)),
        ((0.2, 0.2), {"t00181164": [0.2, 0.2], "t00280A02": ["GEOMETRY"]}, (Basis.CALIBRATED, 2.0)),
        (None, {"t00181164": [0.2, 0.2]}, (Basis.DETECTOR, 2.0)),
        (None, {"t00181164": [0.2, 0.2], "t00181114": [2.0]}, (Basis.MAGNIFICATION, 1.0)),
        (None, {"t00182010": [0.3, 0.3]}, (Basis.SCANNED, 3.0)),
        (None, {"t00181164": [0.0, 0.2]}, (Basis.NONE, 10.0)),
        (None, {}, (Basis.NONE, 10.0)),
    ],
)
def test_a_projection_says_what_its_millimetres_are(
    spacing: tuple[float, float] | None, said: dict[str, Any], expected: tuple[Basis, float]
) -> None:
    of, told = image("DX", spacing), attributes(**said)

    (found,) = quantities(of, told, Kind.LENGTH, (0, 0), (10, 0))

    assert (basis(of, told, (0, 0)), found.value) == (expected[0], pytest.approx(expected[1]))


def test_an_ultrasound_is_measured_by_the_region_in_which_all_points_lie() -> None:
    said = attributes(t00186011=[region((10, 10, 89, 49), (CM, CM), (0.1, -0.1))])
    of = image("US")

    # The corners of a region are pixels of it: it ends at the far side of the last one.
    assert quantities(of, said, Kind.LENGTH, (10, 10), (90, 10)) == (Quantity("length", pytest.approx(80.0), "mm"),)
    assert quantities(of, said, Kind.LENGTH, (10, 10), (91, 10)) == (Quantity("length", 81.0, "px"),)
    assert basis(of, said, (20, 20), (30, 30)) is Basis.ULTRASOUND_REGION


def test_time_and_distance_make_no_length_together() -> None:
    said = attributes(t00186011=[region((0, 0, 199, 99), (SECONDS, CM), (0.005, 0.02))])
    of = image("US")

    found = quantities(of, said, Kind.LENGTH, (100, 50), (20, 60))

    assert found == (Quantity("along", pytest.approx(0.4), "s"), Quantity("across", pytest.approx(2.0), "mm"))
    assert quantities(of, said, Kind.ANGLE, (0, 0), (10, 0), (10, 10)) == ()
    assert quantities(of, said, Kind.RECTANGLE, (0, 0), (10, 10)) == ()


def test_where_regions_overlap_the_one_of_high_priority_counts() -> None:
    below = region((0, 0, 199, 99), (CM, CM), (0.1, 0.1), flags=0)
    above = region((50, 50, 99, 99), (CM, CM), (0.5, 0.5), flags=1)
    said = attributes(t00186011=[below, above])

    (inside,) = quantities(image("US"), said, Kind.LENGTH, (60, 60), (70, 60))
    (outside,) = quantities(image("US"), said, Kind.LENGTH, (10, 10), (20, 10))

    assert (inside.value, outside.value) == (pytest.approx(50), pytest.approx(10))


def test_a_region_that_is_calibrated_along_no_axis_hides_none_that_is() -> None:
    whole = region((0, 0, 199, 99), (NONE, NONE), (1.0, 1.0), flags=1)
    scan = region((0, 0, 199, 99), (CM, CM), (0.1, 0.1))

    (found,) = quantities(image("US"), attributes(t00186011=[whole, scan]), Kind.LENGTH, (0, 0), (10, 0))

    assert found == Quantity("length", pytest.approx(10.0), "mm")


def test_an_angle_is_that_of_the_patient_and_not_of_the_pixels() -> None:
    of = image("CT", (2.0, 1.0))

    (found,) = quantities(of, attributes(), Kind.ANGLE, (10, 0), (0, 0), (10, 5))

    assert found == Quantity("angle", pytest.approx(45.0), "deg")


@pytest.mark.parametrize(("end", "degrees"), [((0, 10), 90), ((-10, 0), 180), ((10, 0), 0), ((-10, 10), 135)])
def test_an_angle_goes_from_nothing_to_half_a_turn(end: Point, degrees: float) -> None:
    (found,) = quantities(image("CT", (1.0, 1.0)), attributes(), Kind.ANGLE, (10, 0), (0, 0), end)

    assert found.value == pytest.approx(degrees)


@pytest.mark.parametrize("is_turned", [False, True])
def test_the_angle_of_two_lines_does_not_hang_on_how_they_were_drawn(is_turned: bool) -> None:
    second = ((0.0, 50.0), (100.0, 50 + 100 * math.tan(math.radians(25))))
    second = (second[1], second[0]) if is_turned else second

    (found,) = quantities(image("DX"), attributes(), Kind.COBB, (0, 0), (100, 0), *second)

    assert found == Quantity("angle", pytest.approx(25), "deg")


def test_areas_are_those_of_the_figures() -> None:
    of, none = image("CT", (2.0, 0.5)), attributes()
    corners = ((10.0, 10.0), (14.0, 20.0))
    triangle = ((0.0, 0.0), (4.0, 0.0), (0.0, 10.0))

    areas = [
        quantities(of, none, Kind.RECTANGLE, *corners),
        quantities(of, none, Kind.ELLIPSE, *corners),
        quantities(of, none, Kind.FREEHAND, *triangle),
    ]

    assert [found.value for (found,) in areas] == pytest.approx([40, 40 * math.pi / 4, 20])
    assert {found.unit for (found,) in areas} == {"mm2"}


def test_a_known_length_calibrates_both_axes() -> None:
    of = image("RF", aspect=2.0)
    pixels = scales_of(of, 0, attributes())[-1]
    scale = calibrated([(0, 0), (0, 10)], 40.0, pixels)  # ten rows, each twice as high as wide

    (found,) = measured(Kind.LENGTH, [(0, 0), (10, 0)], [scale])

    assert (scale.basis, found.value, found.unit) == (Basis.MANUAL, pytest.approx(20), "mm")


@pytest.mark.parametrize(("points", "length_mm"), [([(1, 1), (1, 1)], 5.0), ([(0, 0), (1, 1)], 0.0)])
def test_nothing_calibrates_nothing(points: list[Point], length_mm: float) -> None:
    with pytest.raises(BadRequest):
        calibrated(points, length_mm, scales_of(image("RF"), 0, attributes())[-1])


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        (Kind.LENGTH, [(0, 0)]),
        (Kind.ANGLE, [(0, 0), (1, 1)]),
        (Kind.FREEHAND, [(0, 0)] * 257),
        (Kind.TEXT, [(math.nan, 0)]),
        (Kind.TEXT, [(0, 1e9)]),
    ],
)
def test_points_that_make_no_such_figure_are_refused(kind: Kind, points: list[Point]) -> None:
    with pytest.raises(BadRequest):
        check_points(kind, points)


def test_frames_of_one_image_have_scales_of_their_own() -> None:
    of = image("MR", (1.0, 1.0))
    wide = replace(of.frames[0], plane=FramePlane(pixel_spacing_mm=(3.0, 3.0)))
    both = replace(of, frames=(of.frames[0], wide))

    lengths = [
        measured(Kind.LENGTH, [(0, 0), (1, 0)], scales_of(both, index, attributes()))[0].value for index in (0, 1)
    ]

    assert lengths == [1, 3]
