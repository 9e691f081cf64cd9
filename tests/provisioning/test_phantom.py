"""The phantom has the sizes, positions and values that it says, and is the same each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from provisioning.phantom import RECORDS, Phantom, Size, draw_mark, organs, read_mark, write_files, write_multiframe
from provisioning.phantom.slices import RESCALE_INTERCEPT

SMALL = Phantom(Size(slices=48, rows=128, columns=128, pixel_spacing_mm=3.12, slice_spacing_mm=7.8))


@pytest.fixture(scope="module")
def hounsfield() -> np.ndarray:
    """The small phantom, (slice, row, column)."""
    return np.stack(list(SMALL.slices())).astype(np.int32) + RESCALE_INTERCEPT


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return list(write_files(SMALL, tmp_path_factory.mktemp("phantom")))


def value_around(volume: np.ndarray, x: float, y: float, z: float) -> float:
    """The median of 3 x 3 pixels around a position in millimetres."""
    size = SMALL.size
    first = SMALL.position_mm(0)
    column, row = round((x - first[0]) / size.pixel_spacing_mm), round((y - first[1]) / size.pixel_spacing_mm)
    index = round((z - first[2]) / size.slice_spacing_mm)
    return float(np.median(volume[index, row - 1 : row + 2, column - 1 : column + 2]))


@pytest.mark.parametrize(
    ("what", "position", "expected", "tolerance"),
    [
        ("air before the body", (0, -180, 0), organs.AIR_HU, 25),
        ("right lung", (-80, -45, 60), organs.LUNG_HU, 80),
        ("left lung", (100, -20, 70), organs.LUNG_HU, 80),
        ("liver", (-80, 20, -60), organs.LIVER_HU, 35),
        ("left ventricle", (44, -34, 24), organs.ARTERY_HU, 40),
        ("descending aorta", (21, 30, 40), organs.ARTERY_HU, 60),
        ("first lumbar vertebra", (0, 45, -77), organs.MARROW_HU, 120),
        ("spleen", (96, 42, -42), organs.SPLEEN_HU, 40),
        ("windpipe", (0, 16, 140), organs.AIR_HU, 120),
    ],
)
def test_organs_have_their_hounsfield_units(hounsfield, what, position, expected, tolerance):
    assert value_around(hounsfield, *position) == pytest.approx(expected, abs=tolerance), what


def test_both_kidneys_and_both_lungs_are_where_they_belong(hounsfield):
    assert value_around(hounsfield, 70, 62, -96) > 120
    assert value_around(hounsfield, -70, 62, -106) > 100


def test_ribs_alternate_along_the_side_of_the_chest(hounsfield):
    # A line from feet to head through the left chest wall meets bone, then muscle, again and again.
    wall = hounsfield[20:40, 60:68, :].max(axis=(1, 2))
    assert (wall > 400).all()
    side = hounsfield[:, 64, 105:113].max(axis=1) > 300
    assert np.count_nonzero(np.diff(side.astype(int)) == 1) >= 4


def test_noise_has_the_strength_of_a_scan_and_neighbours_share_it():
    noise = Phantom(Size(slices=2, pixel_spacing_mm=0.78)).noise(0)
    middle = noise[216:296, 216:296]

    assert 8 < middle.std() < 14
    assert noise[:40, :40].std() < middle.std() / 2
    assert 0.5 < np.corrcoef(middle[:, :-1].ravel(), middle[:, 1:].ravel())[0, 1] < 0.8


def test_the_same_seed_gives_the_same_pixels_and_another_seed_others(hounsfield):
    again = next(iter(SMALL.slices())).astype(np.int32) + RESCALE_INTERCEPT
    other = next(iter(Phantom(SMALL.size, seed=2).slices())).astype(np.int32) + RESCALE_INTERCEPT

    assert np.array_equal(again, hounsfield[0])
    assert not np.array_equal(other, hounsfield[0])


def test_files_are_ct_images_of_one_series_in_equal_steps(files):
    headers = [pydicom.dcmread(path) for path in files]

    assert len({ds.SOPInstanceUID for ds in headers}) == SMALL.size.slices
    assert len({(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID) for ds in headers}) == 1
    assert all(
        uid.startswith("2.25.") and uid.is_valid for ds in headers for uid in (ds.SOPInstanceUID, ds.StudyInstanceUID)
    )
    heights = [float(ds.ImagePositionPatient[2]) for ds in headers]
    assert np.allclose(np.diff(heights), SMALL.size.slice_spacing_mm, atol=1e-3)
    assert {ds.file_meta.MediaStorageSOPClassUID for ds in headers} == {pydicom.uid.CTImageStorage}


def test_stored_values_become_hounsfield_units_by_the_rescale_of_the_file(files, hounsfield):
    ds = pydicom.dcmread(files[30])

    values = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)

    assert np.array_equal(values, hounsfield[30])
    assert int(ds.pixel_array.max()) < 1 << ds.BitsStored


def test_the_multiframe_holds_the_same_slices(tmp_path, hounsfield):
    path = tmp_path / "phantom.dcm"
    frames = list(write_multiframe(SMALL, path))
    ds = pydicom.dcmread(path)

    assert frames == list(range(1, SMALL.size.slices + 1))
    assert np.array_equal(ds.pixel_array.astype(np.int32) + RESCALE_INTERCEPT, hounsfield)
    position = ds.PerFrameFunctionalGroupsSequence[7].PlanePositionSequence[0].ImagePositionPatient
    assert [float(value) for value in position] == pytest.approx(SMALL.position_mm(7), abs=1e-3)


def test_the_records_have_the_sizes_of_the_paper():
    shapes = {name: (size.rows, size.columns, size.slices) for name, size in RECORDS.items()}
    assert shapes == {"A": (512, 512, 10), "B": (512, 512, 54), "C": (512, 512, 555), "D": (1996, 2457, 96)}


@pytest.mark.parametrize("number", [0, 1, 299, 554, 4095])
def test_a_mark_is_read_from_the_stored_values_and_from_a_windowed_picture(number):
    pixels = np.full((64, 256), 1064, np.uint16)
    draw_mark(pixels, number)
    grey = np.clip((pixels.astype(float) - 1024 + 160) / 400 * 255, 0, 255).astype(np.uint8)

    assert read_mark(pixels) == number
    assert read_mark(grey) == number
    assert read_mark(255 - grey) is None, "an inverted picture has no mark"


def test_a_damaged_mark_is_no_number():
    pixels = np.full((64, 256), 1064, np.uint16)
    draw_mark(pixels, 299)
    pixels[:8, 40:48] = 4095 - pixels[:8, 40:48]

    assert read_mark(pixels) is None


def test_marked_slices_tell_their_number():
    marked = Phantom(Size(slices=3, rows=64, columns=160, pixel_spacing_mm=3.0, slice_spacing_mm=5.0), marked=True)
    assert [read_mark(pixels) for pixels in marked.slices()] == [0, 1, 2]
