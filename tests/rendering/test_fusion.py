"""Two pictures over one another."""

from __future__ import annotations

import numpy as np

from appliance.rendering.fusion import fused

BELOW = np.array([[0, 100, 200]], np.uint8)


def test_where_nothing_lies_over_it_the_picture_below_is_as_it_was() -> None:
    over = fused(BELOW, np.zeros_like(BELOW), 1.0)

    assert np.array_equal(over, np.stack([BELOW] * 3, -1))


def test_what_is_brightest_covers_as_much_as_its_opacity_says() -> None:
    white = np.full_like(BELOW, 255)

    assert fused(BELOW, white, 1.0).min() == 255
    assert fused(BELOW, white, 0.5)[0, :, 0].tolist() == [128, 178, 228]


def test_what_is_less_bright_is_red_and_then_yellow() -> None:
    colours = fused(np.zeros((1, 2), np.uint8), np.array([[85, 170]], np.uint8), 1.0)[0].astype(int)

    assert colours[0, 0] > 80 and not colours[0, 1:].any()
    assert colours[1, 0] == colours[1, 1] > 160 and not colours[1, 2]
