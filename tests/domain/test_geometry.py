"""Order, lattice and volume of a series; slices are built, attribute by attribute."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.domain.errors import NotDrawable
from appliance.domain.geometry import SliceRef, VolumeGeometry, arranged, slices_of
from appliance.domain.identifiers import InstanceUid
from appliance.domain.image import FrameDescription, FramePlane, ImageDescription, PixelFormat

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
GREY = PixelFormat(4, 6, 1, 16, 12, 11, False, "MONOCHROME2")


def plane(z: float, *, y: float = -20.0, orientation: tuple[float, ...] = AXIAL) -> FramePlane:
    return FramePlane((-10.0, y, z), orientation, (0.5, 0.75), 1.0)  # type: ignore[arg-type]


def thick(z: float) -> FramePlane:
    return replace(plane(z), slice_thickness_mm=3.0)


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
    # Thin slices at the base, thick ones above, as heads were scanned.
    images = [*stack(0.0, 1.0, 2.0), *(image(4 + n, thick(5.0 + 3 * n)) for n in range(2))]

    volume = volume_of(images)

    assert volume.shape[0] == 9
    assert [(part.lower, part.upper) for part in volume.lattice][:6] == [(0, 0), (1, 1), (2, 2), (2, 3), (2, 3), (3, 3)]
    assert [part.weight for part in volume.lattice][:6] == pytest.approx([0, 0, 0, 1 / 3, 2 / 3, 0])
    assert "1.00 to 3.00 mm apart" in volume.warnings[0]


def test_a_missing_slice_is_a_gap_and_nothing_is_made_up_for_it() -> None:
    volume = volume_of(stack(0.0, 1.0, 2.0, 5.0, 6.0))

    assert [part.is_gap for part in volume.lattice] == [False, False, False, True, True, False, False]
    assert [part.weight for part in volume.lattice] == [0] * 7
    assert volume.warnings == ("There are gaps between the slices, of 2.0 mm together; nothing is shown in them.",)


def test_slices_a_kilometre_apart_do_not_fill_the_memory() -> None:
    arrangement = arranged(stack(0.0, 1.0, 2.0, 1e6))

    assert arrangement.volume is None
    assert arrangement.reason == "The images lie too far apart to be one volume."


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


def test_phases_are_volumes_of_their_own_in_the_order_of_their_numbers() -> None:
    # Numbered phase by phase; another scanner numbers place by place.
    by_phase = [image(1 + n, plane(float(n % 3))) for n in range(6)]
    by_place = [image(1 + n, plane(n // 2 - 1e-5 * n)) for n in range(6)]  # positions differ in their last digits

    for images in (by_phase, by_place):
        arrangement = arranged(images)
        assert [volume.name for volume in arrangement.volumes] == ["1 of 2", "2 of 2"]
        assert [[part.lower for part in volume.lattice] for volume in arrangement.volumes] == [[0, 1, 2], [3, 4, 5]]
        numbers = [images[ref.image_index].instance_number for ref in arrangement.slices]
        first, second = numbers[:3], numbers[3:]
        assert all(a < b for a, b in zip(first, second, strict=True))  # type: ignore[operator]


def test_one_of_several_volumes_is_chosen_by_its_number() -> None:
    arrangement = arranged([image(1 + n, plane(float(n % 3))) for n in range(6)])

    assert arrangement.chosen(None) is arrangement.chosen(0) is arrangement.volumes[0]
    assert arrangement.chosen(1) is arrangement.volumes[1]
    assert slices_of(arrangement.chosen(1)) == (3, 4, 5)
    with pytest.raises(NotDrawable, match="no volume 2: it has 2"):
        arrangement.chosen(2)


def test_orientations_are_volumes_of_their_own_and_the_largest_comes_first() -> None:
    images = [*(image(n, plane(0.0, y=float(n), orientation=CORONAL)) for n in range(3)), *stack(0.0, 1.0, 2.0, 3.0)]

    arrangement = arranged(images)

    assert [volume.name for volume in arrangement.volumes] == ["coronal", "axial"]
    assert arrangement.volume is arrangement.volumes[1]
    assert [part.lower for part in arrangement.volumes[1].lattice] == [3, 4, 5, 6]


def test_a_scout_among_the_slices_is_left_out_and_told() -> None:
    volume = volume_of([image(9, plane(0.0, orientation=CORONAL)), *stack(0.0, 1.0, 2.0)])

    assert volume.shape[0] == 3
    assert volume.warnings == ("1 other images of the series are no part of it.",)
    assert volume.name == ""


@pytest.mark.parametrize(
    ("orientation", "step"),
    [
        (AXIAL, (0.0, 0.0, 2.0)),
        ((-1.0, 0.0, 0.0, 0.0, -1.0, 0.0), (0.0, 0.0, 2.0)),  # lying on the face
        ((-1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (0.0, 0.0, -2.0)),  # feet first
        ((0.0, 1.0, 0.0, -1.0, 0.0, 0.0), (0.0, 0.0, 2.0)),  # on the side
        ((0.0, 1.0, 0.0, 0.0, 0.0, -1.0), (-2.0, 0.0, 0.0)),  # sagittal
    ],
)
def test_voxels_lie_where_their_slices_say_however_the_patient_lay(
    orientation: tuple[float, ...], step: tuple[float, float, float]
) -> None:
    planes = [
        FramePlane(tuple(3.0 + k * part for part in step), orientation, (0.5, 0.75), 2.0)  # type: ignore[arg-type]
        for k in range(3)
    ]

    volume = volume_of([image(3 - k, each) for k, each in enumerate(planes)])

    for k, each in enumerate(planes):
        place = np.array(volume.index_to_patient) @ [k, 1, 2, 1]
        along_columns, along_rows = np.array(orientation[:3]), np.array(orientation[3:])
        expected = np.array(each.position_mm) + along_rows * 0.5 + along_columns * 0.75 * 2
        assert place[:3] == pytest.approx(expected)


heights = st.lists(st.integers(0, 60), min_size=3, max_size=20, unique=True)


@settings(deadline=None)  # a loaded machine is not a failure
@given(heights, st.randoms(use_true_random=False))
def test_the_order_in_which_slices_come_changes_nothing(places: list[int], random: Random) -> None:
    images = stack(*map(float, places))
    shuffled = random.sample(images, len(images))

    one, other = arranged(images), arranged(shuffled)

    assert one.volume == other.volume
    assert one.reason == other.reason
    assert [images[ref.image_index] for ref in one.slices] == [shuffled[ref.image_index] for ref in other.slices]


@settings(deadline=None)  # a loaded machine is not a failure
@given(st.integers(5, 30), st.data())
def test_a_removed_slice_is_a_gap_at_its_place(count: int, data: st.DataObject) -> None:
    removed = data.draw(st.integers(1, count - 2))

    volume = volume_of(stack(*(2.5 * n for n in range(count) if n != removed)))

    assert [number for number, part in enumerate(volume.lattice) if part.is_gap] == [removed]
    assert volume.shape[0] == count
    assert volume.spacing_mm[0] == pytest.approx(2.5)


@settings(deadline=None)  # a loaded machine is not a failure
@given(heights)
def test_every_slice_is_in_the_lattice_unless_others_lie_much_nearer(places: list[int]) -> None:
    arrangement = arranged(stack(*map(float, places)))
    assert arrangement.volume is not None
    lattice = arrangement.volume.lattice
    used = {part.lower for part in lattice} | {part.upper for part in lattice}

    steps = np.diff(np.sort(places))
    if steps.min() >= np.median(steps) / 4:
        assert used == set(range(len(places)))


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        ([], "The series has no images."),
        (stack(0.0), "The series is a single picture."),
        (stack(1.0, 1.0), "All images lie at the same place."),
        ([*stack(0.0), image(3, plane(2.0), pixel_format=replace(GREY, rows=5))], "The images differ in size."),
        ([*stack(0.0), image(3, replace(plane(2.0), pixel_spacing_mm=(1.0, 1.0)))], "differ in pixel size"),
        ([image(1, plane(0.0)), image(2, replace(plane(1.0), pixel_spacing_mm=None))], "differ in pixel size"),
        ([*stack(0.0, 1.0), image(3, plane(2.0, y=30.0))], "do not lie behind one another"),
        (
            [*stack(0.0), image(3, plane(2.0, orientation=(1.0, 0.0, 0.0, 0.0, 0.98, 0.199)))],
            "tilted against one another",
        ),
        (
            [*stack(0.0), image(3, plane(2.0, orientation=CORONAL))],
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
