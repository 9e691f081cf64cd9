"""Sizes of pictures while the camera moves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.domain.identifiers import SeriesUid
from appliance.domain.views import Camera, Encoding, RenderingMethod, VolumeView
from appliance.services.pace import Pace

CAMERA = Camera((0, -9, 0), (0, 0, 0), (0, 0, 1), 4)
LUNG = VolumeView(SeriesUid("1.2"), CAMERA, (512, 512), Encoding("image/png"), preset="lung", interactive=True)
BONE = replace(LUNG, preset="bone")


def test_a_picture_at_rest_is_as_large_as_it_is_asked_for() -> None:
    assert Pace().size(replace(LUNG, interactive=False)) == (512, 512)


def test_the_second_moving_picture_fits_the_time_whatever_the_first_took() -> None:
    pace = Pace()
    pace.learn(LUNG, 256 * 256, 280.0)

    width, height = pace.size(LUNG)

    assert 55 < 280 * width * height / 256**2 <= 70


def moved(pace: Pace, view: VolumeView, ms_at_256: float, pictures: int) -> list[tuple[float, int]]:
    """Milliseconds and width of each of the next pictures, on a machine that takes so long for one of 256 x 256."""
    seen = []
    for _ in range(pictures):
        width, height = pace.size(view)
        took_ms = ms_at_256 * width * height / 256**2
        pace.learn(view, width * height, took_ms)
        seen.append((took_ms, width))
    return seen


@pytest.mark.parametrize("ms_at_256", [20.0, 82.0, 130.0, 243.0])  # skin, bone, a maximum projection, lung on two cores
def test_every_moving_picture_comes_in_time_and_the_fourth_is_as_large_as_time_allows(ms_at_256: float) -> None:
    pictures = moved(Pace(), LUNG, ms_at_256, 4)

    assert max(took_ms for took_ms, _ in pictures) <= 70
    assert pictures[-1][0] > 0.8 * 70 or pictures[-1][1] == 512


def test_a_camera_that_comes_nearer_is_late_once() -> None:
    pace = Pace()
    moved(pace, BONE, 60.0, 6)

    late, *then = moved(pace, BONE, 180.0, 3)

    assert late[0] > 70
    assert max(took_ms for took_ms, _ in then) <= 70


def test_one_picture_that_was_late_by_chance_makes_the_next_few_smaller_only() -> None:
    pace = Pace()
    width = moved(pace, BONE, 60.0, 6)[-1][1]
    moved(pace, BONE, 300.0, 1)

    assert moved(pace, BONE, 60.0, 5)[-1][1] >= 0.9 * width


def test_what_one_preset_costs_says_nothing_of_another() -> None:
    pace = Pace()
    before = pace.size(BONE)
    pace.learn(LUNG, 256 * 256, 1000.0)

    assert pace.size(BONE) == before
    assert pace.size(replace(LUNG, method=RenderingMethod.MAXIMUM_IP)) == before


def test_pictures_do_not_become_smaller_than_can_be_told_apart() -> None:
    pace = Pace()
    pace.learn(LUNG, 256 * 256, 60_000.0)

    width, height = pace.size(LUNG)

    assert 85 <= width == height <= 96
