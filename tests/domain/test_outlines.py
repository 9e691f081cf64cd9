"""Regions as lines: what they enclose is just what was marked, wherever it lies."""

from __future__ import annotations

import re

import numpy as np
import pytest

from appliance.domain.outlines import BANDS, Plane, boundary, colour_of_lab, line_path, outlined


def filled(path: str, rows: int, columns: int) -> np.ndarray:
    """The pixels that a path of upright and level lines encloses: by evenodd, those with an odd number of edges to their left."""
    crossings = np.zeros((rows, columns + 1), int)
    x = y = 0
    for word, *numbers in re.findall(r"([Mhvz])(-?\d+)?(?: (-?\d+))?", path):
        if word == "M":
            x, y = int(numbers[0]), int(numbers[1])
            start = (x, y)
        elif word == "h":
            x += int(numbers[0])
        else:
            to = start[1] if word == "z" else y + int(numbers[0])
            crossings[min(y, to) : max(y, to), x] += 1
            y = to
    return (crossings.cumsum(axis=1)[:, :-1] % 2).astype(bool)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9])
def test_a_boundary_encloses_the_pixels_and_no_others(share: float) -> None:
    mask = np.random.default_rng(7).random((37, 53)) < share

    assert np.array_equal(filled(boundary(mask), 37, 53), mask)


def test_a_ring_has_two_lines_and_a_square_four_edges() -> None:
    square, ring = np.zeros((6, 6), bool), np.zeros((6, 6), bool)
    square[1:5, 2:5] = ring[1:5, 2:5] = True
    ring[2:4, 3] = False

    assert boundary(square) in ("M2 1h3v4h-3v-4z", "M2 1h3v4h-3z")
    assert boundary(ring).count("M") == 2
    assert boundary(np.zeros((4, 4), bool)) == ""


def test_fractions_become_degrees_that_are_nowhere_far_off() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)

    shown = np.zeros((16, 16))
    for number, opacity, path in outlined(values, 3, 255):
        assert number == 3
        shown[filled(path, 16, 16)] += opacity

    assert np.abs(shown - values / 255).max() <= 0.5 / BANDS + 1e-9 or shown[15, 15] == 1.0
    assert (shown == 0).sum() == 1


def test_each_label_of_a_label_map_is_a_region_and_zero_is_none() -> None:
    values = np.array([[0, 1, 1], [2, 2, 1], [0, 0, 7]], np.uint16)

    found = {number: filled(path, 3, 3) for number, _, path in outlined(values, None, None)}

    assert set(found) == {1, 2, 7}
    assert all(np.array_equal(mask, values == number) for number, mask in found.items())


def test_a_grid_that_is_finer_and_turned_over_lies_where_the_patient_says() -> None:
    """Of a slice of 1 mm pixels, one of 0.5 mm whose columns run the other way and that begins 10 mm further."""
    coarse = Plane.of((0, 0, 5), (1, 0, 0, 0, 1, 0), (1, 1))
    fine = Plane.of((10, 20, 5), (-1, 0, 0, 0, 1, 0), (0.5, 0.5))
    assert coarse is not None and fine is not None

    a, b, c, d, e, f = fine.matrix_to(coarse)

    # The centre of the fine grid's first pixel is at (10, 20) mm: the centre of column 10, row 20.
    assert (a * 0.5 + c * 0.5 + e, b * 0.5 + d * 0.5 + f) == pytest.approx((10.5, 20.5))
    assert (a, b, c, d) == (-0.5, 0, 0, 0.5)


def test_colours_are_those_of_the_connection_space() -> None:
    """Words of 16 bit for L* 0…100 and a*, b* -128…127 (PS3.3 C.10.7.1.1)."""
    neutral = round(128 / 255 * 65535)
    assert colour_of_lab([65535, neutral, neutral]) == "#ffffff"
    assert colour_of_lab([0, neutral, neutral]) == "#000000"
    red = [round(54.29 / 100 * 65535), round((80.81 + 128) / 255 * 65535), round((69.89 + 128) / 255 * 65535)]
    assert colour_of_lab(red) == "#ff0000"


def test_a_line_goes_through_its_points_however_many_there_are() -> None:
    points = np.random.default_rng(1).random((500, 2)) * 300

    path = line_path(points, is_closed=True)

    start, steps = path.removeprefix("M").removesuffix("z").split("l")
    numbers = np.array([[*map(int, start.split(" "))], *np.array(re.findall(r"-?\d+", steps), int).reshape(-1, 2)])
    assert np.abs(numbers.cumsum(axis=0) / 100 - points).max() <= 0.005 + 1e-9
