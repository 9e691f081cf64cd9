"""How the values of a volume become 16-bit texels and come back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.domain.grayscale import modality_values
from appliance.domain.identifiers import InstanceUid
from appliance.domain.image import FrameDescription, ImageDescription, PixelFormat, Window
from appliance.rendering.texels import common_scale, scale_of_range, texels_of

SIGNED = PixelFormat(2, 3, 1, 16, 16, 15, True, "MONOCHROME2")
PET = ImageDescription(InstanceUid("1.2"), "1.2", "1.2.840.10008.1.2", "PT", SIGNED, (FrameDescription(((0, 12),)),))


def with_rescale(slope: float, intercept: float) -> ImageDescription:
    return replace(PET, frames=(replace(PET.frames[0], rescale_slope=slope, rescale_intercept=intercept),))


def test_one_rescale_for_all_keeps_the_stored_values() -> None:
    image = with_rescale(2.0, -1000.0)
    stored = np.array([[-32768, -1, 0], [1, 500, 32767]], np.int16)

    scale = common_scale([(image, 0), (image, 0)])

    assert scale is not None
    assert scale.keeps_stored
    assert np.array_equal(scale.values(texels_of(stored, image, 0, scale)), modality_values(stored, image, 0))


def test_a_rescale_for_each_slice_comes_to_one_scale() -> None:
    weak, strong = with_rescale(0.1, 0), with_rescale(0.4, 0)
    stored = np.array([[0, 100, 32767]], np.int16)

    scale = common_scale([(weak, 0), (strong, 0)])

    assert scale is not None
    for image in (weak, strong):
        back = scale.values(texels_of(stored, image, 0, scale))
        assert np.abs(back - modality_values(stored, image, 0)).max() <= scale.step / 2 + 1e-9


def test_a_falling_rescale_still_rises_in_the_texture() -> None:
    image = with_rescale(-1.0, 0)

    scale = common_scale([(image, 0)])

    assert scale is not None
    low, high = texels_of(np.array([10, -10], np.int16), image, 0, scale)
    assert low < high


def test_wide_values_have_no_scale_before_they_are_seen() -> None:
    image = replace(PET, pixel_format=replace(SIGNED, bits_allocated=32, kind="float"))

    assert common_scale([(image, 0)]) is None
    scale = scale_of_range(0.0, 1.0)
    assert texels_of(np.array([0.0, 0.5, np.nan, 1.0], np.float32), image, 0, scale).tolist() == [0, 32768, 0, 65535]


def test_padding_becomes_the_lowest_value_beside_it() -> None:
    image = replace(PET, pixel_format=replace(SIGNED, padding=(2000, 2000)))
    scale = common_scale([(image, 0)])
    assert scale is not None

    texels = texels_of(np.array([2000, 7, 2000, 9], np.int16), image, 0, scale)

    assert scale.values(texels).tolist() == [7, 7, 7, 9]


@pytest.mark.parametrize("invert", [False, True])
def test_the_table_is_the_window_over_the_texels(invert: bool) -> None:
    scale = scale_of_range(-100, 100)

    table = scale.grey_table(Window(0, 200, "linear-exact"), invert=invert)

    assert (table[0], table[-1]) == ((255, 0) if invert else (0, 255))
    assert table[32768] == pytest.approx(127.5, abs=1)
