"""Where pictures are seen from, and where they lie."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.domain.cameras import along_curve, height_of_view, place_of, swivel_angles, swivelled, whole_view
from appliance.domain.views import Camera, Vector

SIZE = (400.0, 300.0, 600.0)


def test_a_picture_lies_in_the_plane_of_what_is_looked_at_its_first_pixel_above_on_the_left() -> None:
    camera = Camera((5, -100, 7), (5, 0, 7), (0, 0, 1), 40)

    place = place_of(camera, (80, 40))

    assert place.spacing_mm == (1, 1)
    assert place.position == (5 - 39.5, 0, 7 + 19.5)
    assert (place.across, place.down) == ((1, 0, 0), (0, 0, -1))


def test_an_oblique_view_shows_the_whole_box() -> None:
    forward, up = (1.0, 2.0, 0.5), (0.0, 0.0, 1.0)
    corners = np.array([[x, y, z] for x in (-200, 200) for y in (-150, 150) for z in (-300, 300)], float)

    height_mm = height_of_view(SIZE, forward, up, aspect=0.5)

    place = place_of(Camera((-1, -2, -0.5), (0, 0, 0), up, height_mm), (500, 1000))
    for axis, length_mm in ((place.across, height_mm / 2), (place.down, height_mm)):
        assert np.ptp(corners @ np.array(axis)) <= length_mm * 1.001


def test_a_swivel_keeps_what_is_looked_at_and_the_distance() -> None:
    camera = whole_view((1, 2, 3), SIZE, "a", aspect=1)

    turned = swivelled(camera, 90)

    assert (turned.look_at, turned.up) == (camera.look_at, camera.up)
    assert np.subtract(turned.position, turned.look_at) == pytest.approx((1200, 0, 0))


@pytest.mark.parametrize(
    ("range_degrees", "step", "angles"),
    [(180, 60, (-60, 0, 60)), (360, 90, (0, 90, 180, 270)), (10, 10, (0,)), (90, 45, (-22.5, 22.5))],
)
def test_a_swivel_has_as_many_frames_as_its_range_has_steps(
    range_degrees: float, step: float, angles: tuple[float, ...]
) -> None:
    assert swivel_angles(range_degrees, step) == angles


def test_up_is_carried_along_a_curve_without_turning_over() -> None:
    # Straight on, then straight up, then back over the head: up must end pointing forwards-down, not flip.
    points: list[Vector] = [(0, 0, 0), (0, 10, 0), (0, 10, 10), (0, 0, 10)]

    ups = [camera.up for camera in along_curve(points, 10, (0, 0, 1), 50)]

    assert ups == [(0, 0, 1), (0, -1, 0), (0, 0, -1)]


def test_an_up_direction_along_the_curve_gives_way_to_the_usual_one() -> None:
    (first, *_) = along_curve([(0, 0, 0), (0, 0, 10)], 5, (0, 0, 1), 50)

    assert first.up == (0, -1, 0)


def test_a_curve_that_turns_back_keeps_its_up() -> None:
    cameras = along_curve([(0, 0, 0), (0, 10, 0), (0, 0, 0)], 10, (0, 0, 1), 50)

    assert [camera.up for camera in cameras] == [(0, 0, 1), (0, 0, 1)]
    assert cameras[1].look_at == (0, 10, 0)
