"""Order, lattice and volume of a series; slices are built, attribute by attribute."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.domain.geometry import SliceRef, VolumeGeometry, arranged, orientation_letters
from appliance.domain.identifiers import InstanceUid
from appliance.domain.image import FrameDescription, FramePlane, ImageDescription, PixelFormat

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
GREY = PixelFormat(4, 6, 1, 16, 12, 11, False, "MONOCHROME2")


def plane(z: float, *, y: float = -20.0, orientation: tuple[float, ...] = AXIAL) -> FramePlane:
    return FramePlane((-10.0, y, z), orientation, (0.5, 0.75), 1.0)  # type: ignore[arg-type]


def image(number: int, *planes: FramePlane, pixel_format: PixelFormat = GREY) -> ImageDescription:
    frames = tuple(FrameDescription(((0, 48),), plane=each) for each in planes)
    uid = InstanceUid(f"1.2.{number}")
    return ImageDescription(uid, "1.2", "1.2.840.10008.1.2.1", "CT", pixel_format, frames, instance_number=number)


def stack(*heights: float) -> list[ImageDescription]:
    return [image(number, plane(z)) for number, z in enumerate(heights, 1)]


def volume_of(images: list[ImageDescription]) -> VolumeGeometry:
    arrangement = arranged(images)
    assert arrangement.volume is not None, arrangement.reason
    assert arrangement.reason is None
    return arrangement.volume


def test_slices_come_by_position_and_not_by_number() -> None:
    arrangement = arranged(stack(4.0, 0.0, 2.0))

    assert arrangement.slices == (SliceRef(1, 0), SliceRef(2, 0), SliceRef(0, 0))


def test_slices_without_position_come_by_number_and_frame() -> None:
    arrangement = arranged([image(2, FramePlane()), image(1, FramePlane(), FramePlane())])

    assert arrangement.slices == (SliceRef(1, 0), SliceRef(1, 1), SliceRef(0, 0))
    assert arrangement.reason == "The images do not say where in the patient they lie."


def test_an_index_goes_to_the_patient_as_the_standard_says() -> None:
    volume = volume_of(stack(0.0, 2.0, 4.0))

    # One row down is one distance between rows along y; one column right is one between columns along x.
    place = np.array(volume.index_to_patient) @ [1, 2, 4, 1]

    assert place.tolist() == [-10 + 4 * 0.75, -20 + 2 * 0.5, 2.0, 1.0]
    assert volume.shape == (3, 4, 6)
    assert volume.spacing_mm == (2.0, 0.5, 0.75)


def test_a_volume_knows_its_middle_and_its_extent_with_the_edges() -> None:
    volume = volume_of(stack(0.0, 2.0, 4.0))

    assert volume.center_mm == pytest.approx((-10 + 2.5 * 0.75, -20 + 1.5 * 0.5, 2.0))
    assert volume.size_mm == pytest.approx((6 * 0.75, 4 * 0.5, 6.0))


def test_rounded_positions_are_even() -> None:
    volume = volume_of(stack(0.0, 0.6, 1.3, 1.9, 2.5))

    assert volume.shape[0] == 5
    assert volume.warnings == ()


def test_uneven_slices_are_interpolated_at_their_true_places() -> None:
    volume = volume_of(stack(0.0, 1.0, 2.0, 5.0))

    assert volume.shape[0] == 6
    assert [(part.lower, part.upper) for part in volume.lattice] == [(0, 0), (1, 1), (2, 2), (2, 3), (2, 3), (3, 3)]
    assert [part.weight for part in volume.lattice] == pytest.approx([0, 0, 0, 1 / 3, 2 / 3, 0])
    assert "1.00 to 3.00 mm apart" in volume.warnings[0]
    assert "1 of the distances are gaps" in volume.warnings[0]


def test_a_tilted_gantry_makes_a_sheared_volume_and_a_warning() -> None:
    slope = np.tan(np.deg2rad(15))
    images = [image(number, plane(2.0 * number, y=-20 + slope * 2 * number)) for number in range(5)]

    volume = volume_of(images)

    assert np.array(volume.index_to_patient)[:3, 0] == pytest.approx([0, slope * 2, 2.0])
    assert any("tilted by 15.0 degrees" in warning for warning in volume.warnings)


def test_a_place_shown_twice_by_mistake_is_left_out_with_a_warning() -> None:
    volume = volume_of(stack(0.0, 1.0, 1.0, 2.0, 3.0))

    assert [part.lower for part in volume.lattice] == [0, 1, 3, 4]
    assert "1 images lie at the place of another" in volume.warnings[0]


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        ([], "The series has no images."),
        (stack(0.0), "The series is a single picture."),
        (stack(0.0, 1.0, 0.0, 1.0), "The series shows each place 2 times"),
        (stack(1.0, 1.0), "All images lie at the same place."),
        ([*stack(0.0, 1.0), image(3, plane(2.0), pixel_format=replace(GREY, rows=5))], "The images differ in size."),
        ([*stack(0.0, 1.0), image(3, replace(plane(2.0), pixel_spacing_mm=(1.0, 1.0)))], "differ in pixel size"),
        ([image(1, plane(0.0)), image(2, replace(plane(1.0), pixel_spacing_mm=None))], "differ in pixel size"),
        ([*stack(0.0, 1.0), image(3, plane(2.0, y=30.0))], "do not lie behind one another"),
        (
            [*stack(0.0, 1.0), image(3, plane(2.0, orientation=(1.0, 0.0, 0.0, 0.0, 0.98, 0.199)))],
            "tilted against one another",
        ),
        (
            [*stack(0.0, 1.0), image(3, plane(2.0, orientation=(1.0, 0.0, 0.0, 0.0, 0.0, -1.0)))],
            "look in different directions",
        ),
        (
            [image(n, plane(n), pixel_format=replace(GREY, samples_per_pixel=3)) for n in range(3)],
            "Colour pictures make no volume.",
        ),
    ],
)
def test_what_is_no_volume_says_why(images: list[ImageDescription], reason: str) -> None:
    arrangement = arranged(images)

    assert arrangement.volume is None
    assert reason in (arrangement.reason or "")
    assert len(arrangement.slices) == len(images)


@pytest.mark.parametrize(
    ("direction", "letters"),
    [
        ((1, 0, 0), "L"),
        ((-1, 0, 0), "R"),
        ((0, 1, 0), "P"),
        ((0, -1, 0), "A"),
        ((0, 0, 1), "H"),
        ((0, 0, -1), "F"),
        ((0.8, 0.6, 0.1), "LP"),
        ((-0.3, -0.4, 0.85), "HAR"),
        ((0, 0, 0), ""),
    ],
)
def test_directions_have_letters(direction: tuple[float, float, float], letters: str) -> None:
    assert orientation_letters(direction) == letters
