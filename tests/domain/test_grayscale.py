"""The grey-scale pipeline against values worked out by hand from PS3.3 C.11."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.errors import NotDrawable
from appliance.domain.grayscale import (
    chosen_voi,
    default_window,
    drawn,
    grey_table,
    modality_values,
    palette_table,
    table_index,
    windowed,
)
from appliance.domain.identifiers import InstanceUid
from appliance.domain.image import FrameDescription, ImageDescription, LookUpTable, PixelFormat, Window
from appliance.domain.voi import VoiChoice, choices_of, voi_of

SIGNED = PixelFormat(2, 2, 1, 16, 16, 15, True, "MONOCHROME2")
CT = ImageDescription(
    InstanceUid("1.2.3"),
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.1.2.1",
    "CT",
    SIGNED,
    (FrameDescription(((0, 8),), rescale_slope=2.0, rescale_intercept=-1000.0),),
)


def table(*entries: int, first: int = 0, bits: int = 16) -> LookUpTable:
    return LookUpTable(first, bits, np.array(entries, "<u2").tobytes())


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        # centre 10, width 5: LINEAR is black up to 7.5 and white above 11.5
        ("linear", [0.0, 0.125, 0.625, 1.0]),
        # black up to 7.5 and white above 12.5
        ("linear-exact", [0.0, 0.1, 0.5, 0.9]),
        ("sigmoid", [1 / (1 + np.exp(2.4)), 1 / (1 + np.exp(1.6)), 0.5, 1 / (1 + np.exp(-1.6))]),
    ],
)
def test_a_window_is_the_function_of_the_standard(function: str, expected: list[float]) -> None:
    window = Window(10, 5, function)  # type: ignore[arg-type]

    assert windowed(np.array([7, 8, 10, 12]), window) == pytest.approx(expected)


def test_a_linear_window_of_width_one_is_a_threshold() -> None:
    assert windowed(np.array([9, 10]), Window(10, 1)).tolist() == [0, 1]


def test_a_linear_window_of_a_float_picture_may_be_narrower_than_one() -> None:
    assert windowed(np.array([0.4, 0.5, 0.6]), Window(0.5, 0.2)) == pytest.approx([0, 0.5, 1])


def test_rescale_comes_before_the_window() -> None:
    stored = np.array([[500, 600]], np.int16)

    assert modality_values(stored, CT, 0).tolist() == [[0, 200]]
    assert drawn(stored, CT, 0, voi=Window(100, 200, "linear-exact")).tolist() == [[0, 255]]


def test_a_modality_table_stands_in_for_the_rescale() -> None:
    image = replace(CT, modality_lut=table(7, 8, 9, first=-1))

    assert modality_values(np.array([-5, -1, 0, 1, 5], np.int16), image, 0).tolist() == [7, 7, 8, 9, 9]


def test_a_voi_table_makes_grey_as_a_window_does() -> None:
    grey = drawn(np.array([-9, 0, 1, 9], np.int16), CT, 0, voi=table(0, 5, 15, first=-1000, bits=4))

    assert grey.tolist() == [0, 0, 255, 255]


@pytest.mark.parametrize(("photometric", "presentation_inverse"), [("MONOCHROME1", False), ("MONOCHROME1", True)])
def test_monochrome1_shows_low_values_white(photometric: str, presentation_inverse: bool) -> None:
    inverted = replace(
        CT,
        pixel_format=replace(SIGNED, photometric_interpretation=photometric),
        presentation_inverse=presentation_inverse,
    )
    stored, window = np.array([0, 1000], np.int16), Window(0, 200)

    assert drawn(stored, inverted, 0, voi=window).tolist() == [255, 0]
    assert drawn(stored, inverted, 0, voi=window, invert=True).tolist() == [0, 255]


def test_padding_is_black_whichever_way_grey_runs() -> None:
    padded = replace(CT, pixel_format=replace(SIGNED, padding=(-2000, -1900)))

    grey = drawn(np.array([-2000, -1950, -1900, -1899], np.int16), padded, 0, voi=Window(0, 9), invert=True)

    assert grey.tolist() == [0, 0, 0, 255]


@pytest.mark.parametrize("is_signed", [True, False])
def test_the_table_is_the_pipeline_for_every_value(is_signed: bool) -> None:
    image = replace(CT, pixel_format=replace(SIGNED, is_signed=is_signed))
    stored = np.arange(1 << 16).astype(np.uint16).view(np.int16 if is_signed else np.uint16)
    window = Window(40, 400)

    through_table = grey_table(image, 0, voi=window)[table_index(stored)]

    assert np.array_equal(through_table, drawn(stored, image, 0, voi=window))


def test_palettes_of_8_and_16_bits_come_out_the_same() -> None:
    eight, sixteen = table(0, 128, 255, bits=8), table(0, 128 << 8, 255 << 8, bits=16)
    unsigned = replace(SIGNED, is_signed=False, photometric_interpretation="PALETTE COLOR")
    image = replace(CT, pixel_format=unsigned, palette=(eight, sixteen, replace(eight, bits=16)))

    assert palette_table(image)[:4].tolist() == [[0, 0, 0], [128, 128, 128], [255, 255, 255], [255, 255, 255]]


def test_the_window_asked_for_wins_then_the_files_then_one_from_the_values() -> None:
    stored = np.array([[500, 520]], np.int16)
    windowed_by_file = replace(CT, frames=(replace(CT.frames[0], windows=(Window(1, 0), Window(1, 2))),))

    assert chosen_voi(stored, windowed_by_file, 0, Window(3, 4)) == Window(3, 4)
    assert chosen_voi(stored, windowed_by_file, 0, None) == Window(1, 2)  # a width of 0 is no window
    assert chosen_voi(stored, replace(CT, voi_luts=(table(0, 1),)), 0, None) == table(0, 1)
    found = chosen_voi(stored, CT, 0, None)
    assert isinstance(found, Window)
    assert (found.center, found.width) == (40, 400)


def test_any_window_or_table_of_the_file_can_be_chosen_unless_a_window_is_asked_for() -> None:
    stored, windows, luts = (
        np.array([[500]], np.int16),
        (Window(1, 2), Window(3, 4, "sigmoid")),
        (table(0, 1), table(1, 0)),
    )
    image = replace(CT, frames=(replace(CT.frames[0], windows=windows),), voi_luts=luts)

    assert [voi for _, voi in choices_of(image, 0)] == [*windows, *luts]
    for choice, voi in choices_of(image, 0):
        assert chosen_voi(stored, image, 0, None, choice) == voi
        assert chosen_voi(stored, image, 0, Window(5, 6), choice) == Window(5, 6)


def test_a_frame_has_those_tables_that_are_its_own() -> None:
    luts = (table(0, 1), table(1, 0))
    image = replace(CT, frames=(replace(CT.frames[0], voi_luts=(1,)),), voi_luts=luts)

    assert choices_of(image, 0) == ((VoiChoice("lut", 0), luts[1]),)
    with pytest.raises(NotDrawable) as caught:
        voi_of(image, 0, VoiChoice("lut", 1))
    assert caught.value.key == "no-such-voi"


@pytest.mark.parametrize("modality", ["CR", "DX", "MG", "MR", "US", "OT"])
def test_a_found_window_spreads_the_content_over_the_greys(modality: str) -> None:
    content = np.random.default_rng(1).normal(2000, 150, (200, 200))
    content[:, :80] = 0  # the empty part of a detector
    content[:, 190:] = 4095  # a burnt edge

    grey = windowed(content, default_window(content, modality))[:, 80:190]

    assert grey.mean() == pytest.approx(0.5, abs=0.1)
    assert grey.std() > 0.1


def test_a_found_window_of_pet_begins_at_nothing() -> None:
    values = np.zeros(10_000)
    values[:500] = np.linspace(0, 8000, 500)

    window = default_window(values, "PT")

    assert window.center - window.width / 2 == 0
    assert 7000 < window.width <= 8000


@pytest.mark.parametrize("values", [np.full(9, 7.0), np.full(9, np.nan), np.array([])])
def test_a_found_window_of_nothing_can_still_be_drawn_with(values: np.ndarray) -> None:
    assert np.isfinite(windowed(np.zeros(3), default_window(values, "MR"))).all()


def test_a_segmentation_shows_nothing_black_and_its_highest_value_white() -> None:
    assert default_window(np.zeros(100), "SEG") == Window(0.5, 1.0, "linear-exact")
    assert default_window(np.array([0, 1, 1, 1]), "SEG") == Window(0.5, 1.0, "linear-exact")
    assert default_window(np.array([0] * 90 + [255] * 10), "SEG") == Window(127.5, 255.0, "linear-exact")


def test_a_linear_window_of_a_float_picture_is_no_threshold() -> None:
    form = replace(SIGNED, bits_allocated=32, bits_stored=32, high_bit=31, kind="float")
    image = replace(CT, pixel_format=form, frames=(replace(CT.frames[0], windows=(Window(0.5, 1.0),)),))

    assert chosen_voi(np.zeros((2, 2), np.float32), image, 0, None) == Window(0.5, 1.0, "linear-exact")
    assert chosen_voi(np.zeros((2, 2), np.float32), image, 0, Window(3, 1)) == Window(3, 1, "linear-exact")


def test_a_presentation_lut_follows_the_window() -> None:
    inverse = table(255, 191, 127, 63, 0, bits=8)
    image = replace(CT, presentation_lut=inverse, frames=(FrameDescription(((0, 8),)),))

    greys = drawn(np.array([[0, 25], [50, 100]], np.int16), image, 0, voi=Window(50, 100, "linear-exact"))

    assert greys.tolist() == [[255, 191], [127, 0]]


@given(
    st.integers(-2000, 2000),
    st.floats(1, 4000),
    st.sampled_from(["linear", "linear-exact", "sigmoid"]),
    st.booleans(),
)
def test_more_is_never_darker_unless_it_is_inverted(center: int, width: float, function: str, invert: bool) -> None:
    values = np.arange(-3000, 3000, 7, dtype=np.int16).reshape(2, -1)
    image = replace(CT, frames=(FrameDescription(((0, 8),)),))
    steps = np.diff(
        drawn(values, image, 0, voi=Window(center, width, function), invert=invert).ravel().astype(int)  # type: ignore[arg-type]
    )

    assert (steps <= 0 if invert else steps >= 0).all()
