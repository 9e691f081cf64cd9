"""Shutters and overlays as masks, against pictures of them that can be read here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.identifiers import InstanceUid
from appliance.domain.image import FrameDescription, ImageDescription, Overlay, PixelFormat, Shutter
from appliance.domain.masks import mask_of, masked


def image(
    rows: int, columns: int, *, overlays: tuple[Overlay, ...] = (), shutter: Shutter | None = None
) -> ImageDescription:
    form = PixelFormat(rows, columns, 1, 8, 8, 7, False, "MONOCHROME2")
    frame = FrameDescription(((0, 1),), overlays=overlays, shutter=shutter)
    return ImageDescription(InstanceUid("1.2"), "1.2", "1.2.840.10008.1.2.1", "OT", form, (frame,))


def picture_of(described: ImageDescription, bits: np.ndarray | None = None) -> list[str]:
    mask = mask_of(
        described, 0, lambda overlay: np.ones((overlay.rows, overlay.columns), bool) if bits is None else bits
    )
    assert mask is not None
    return ["".join(".x#"[value] for value in row) for row in mask]


def test_a_rectangular_shutter_shows_its_edges_and_what_is_between() -> None:
    assert picture_of(image(4, 5, shutter=Shutter((1, 2, 1, 3)))) == ["xxxxx", "x...x", "x...x", "xxxxx"]


def test_a_circular_shutter_shows_what_is_within_its_radius() -> None:
    assert picture_of(image(5, 5, shutter=Shutter(circle=(2, 2, 2)))) == ["xx.xx", "x...x", ".....", "x...x", "xx.xx"]


def test_a_polygonal_shutter_shows_what_is_within_its_corners() -> None:
    corners = ((-0.5, -0.5), (-0.5, 3.9), (3.9, -0.5))

    assert picture_of(image(4, 4, shutter=Shutter(polygon=corners))) == ["....", "...x", "..xx", ".xxx"]


def test_shutters_of_several_shapes_show_what_is_inside_of_all() -> None:
    shutter = Shutter(rectangle=(0, 4, 2, 4), circle=(2, 2, 2))

    assert picture_of(image(5, 5, shutter=shutter)) == ["xx.xx", "xx..x", "xx...", "xx..x", "xx.xx"]


@pytest.mark.parametrize(
    ("row", "column", "expected"),
    [
        (1, 1, ["....", ".##.", ".##.", "...."]),
        (-1, -1, ["#...", "....", "....", "...."]),
        (3, 3, ["....", "....", "....", "...#"]),
        (9, 9, ["...."] * 4),
    ],
)
def test_an_overlay_lies_where_its_origin_says(row: int, column: int, expected: list[str]) -> None:
    assert picture_of(image(4, 4, overlays=(Overlay(2, 2, row, column),))) == expected


def test_overlays_lie_over_the_shutter() -> None:
    described = image(2, 3, overlays=(Overlay(2, 3),), shutter=Shutter((0, 0, 0, 0)))

    assert picture_of(described, np.array([[0, 1, 0], [0, 0, 1]], bool)) == [".#x", "xx#"]


def test_the_bits_of_a_bitmap_shutter_are_covered() -> None:
    described = image(2, 2, shutter=Shutter(bitmap=Overlay(2, 2)))

    assert picture_of(described, np.array([[1, 0], [0, 1]], bool)) == ["x.", ".x"]


def test_a_frame_with_nothing_over_it_has_no_mask() -> None:
    assert mask_of(image(2, 2), 0, lambda overlay: np.ones((1, 1), bool)) is None


@given(st.integers(1, 12), st.integers(1, 12), st.integers(-15, 15), st.integers(-15, 15))
def test_overlays_beside_the_frame_never_fail(rows: int, columns: int, first_row: int, first_column: int) -> None:
    described = image(6, 7, overlays=(Overlay(rows, columns, first_row, first_column),))

    drawn = sum(line.count("#") for line in picture_of(described))

    high = max(0, min(first_row + rows, 6) - max(first_row, 0))
    wide = max(0, min(first_column + columns, 7) - max(first_column, 0))
    assert drawn == high * wide


def test_what_is_covered_has_the_grey_of_the_shutter_in_all_channels() -> None:
    pixels = np.full((1, 3, 3), 77, np.uint8)

    assert masked(pixels, np.array([[0, 1, 2]], np.uint8), 40)[0].tolist() == [[77] * 3, [40] * 3, [255] * 3]


def test_masks_are_of_the_frame_that_is_asked_for() -> None:
    described = image(1, 1)
    second = replace(described.frames[0], shutter=Shutter((5, 5, 5, 5)))
    described = replace(described, frames=(described.frames[0], second))

    assert mask_of(described, 0, lambda overlay: np.ones((1, 1), bool)) is None
    assert mask_of(described, 1, lambda overlay: np.ones((1, 1), bool)) is not None
