"""Sizes of pictures while the camera moves."""

from __future__ import annotations

from dataclasses import replace

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
