"""Moving pictures are read again by another reader, frame by frame."""

from __future__ import annotations

import io
from typing import Any

import av
import numpy as np
import pytest
import pyvips

from appliance.domain.views import Encoding
from appliance.rendering.films import film_types, opened_film

DURATIONS_MS = (40.0, 80.0, 120.0, 120.0)


def frames(*, rows: int = 64, columns: int = 96, is_colour: bool = False) -> list[np.ndarray]:
    """A bar that moves over a slope."""
    found = []
    for step in range(len(DURATIONS_MS)):
        frame = np.tile(np.linspace(20, 120, columns), (rows, 1)).astype(np.uint8)
        frame[:, 10 * step : 10 * step + 8] = 250
        found.append(np.stack([frame, frame // 2, 255 - frame], -1) if is_colour else frame)
    return found


def film_of(pictures: list[np.ndarray], media_type: Any, quality: int | None = 90) -> bytes:
    film = opened_film(Encoding(media_type, quality), DURATIONS_MS)
    for one in pictures:
        film.add(one)
    return film.finish()


def seen(body: bytes, media_type: str) -> tuple[list[np.ndarray], list[float]]:
    """Frames in RGB, and for how many milliseconds each is shown."""
    if media_type == "video/mp4":
        with av.open(io.BytesIO(body)) as container:
            decoded = list(container.decode(video=0))
            starts = [float(one.pts * one.time_base) * 1000 for one in decoded]
            end = container.duration / 1000
        return [one.to_ndarray(format="rgb24") for one in decoded], list(np.diff([*starts, end]))
    image = pyvips.Image.new_from_buffer(body, "", n=-1)
    rows = image.get("page-height")
    pixels = np.asarray(image.numpy())
    pixels = np.stack([pixels] * 3, -1) if pixels.ndim == 2 else pixels[..., :3]
    return [pixels[top : top + rows] for top in range(0, len(pixels), rows)], image.get("delay")


@pytest.mark.parametrize("is_colour", [False, True])
@pytest.mark.parametrize(("media_type", "tolerance"), [("image/gif", 4), ("image/webp", 4), ("video/mp4", 5)])
def test_every_frame_is_there_in_order(media_type: str, tolerance: float, is_colour: bool) -> None:
    pictures = frames(is_colour=is_colour)

    shown, _ = seen(film_of(pictures, media_type), media_type)

    assert len(shown) == len(pictures)
    for one, picture in zip(shown, pictures, strict=True):
        like = picture if is_colour else np.stack([picture] * 3, -1)
        assert np.abs(one.astype(int) - like).mean() < tolerance


@pytest.mark.parametrize("media_type", ["image/gif", "image/webp", "video/mp4"])
def test_every_frame_is_shown_for_its_time(media_type: str) -> None:
    _, durations_ms = seen(film_of(frames(), media_type), media_type)

    assert durations_ms == pytest.approx(DURATIONS_MS, abs=1.5)


@pytest.mark.parametrize("media_type", ["image/gif", "image/webp", "video/mp4"])
def test_sides_may_be_odd(media_type: str) -> None:
    shown, _ = seen(film_of(frames(rows=33, columns=57), media_type), media_type)

    assert {one.shape for one in shown} == {(33, 57, 3)}


def test_webp_of_quality_100_loses_nothing() -> None:
    pictures = frames(is_colour=True)

    shown, _ = seen(film_of(pictures, "image/webp", None), "image/webp")

    assert all(np.array_equal(one, picture) for one, picture in zip(shown, pictures, strict=True))


def test_quality_trades_bytes_for_likeness_in_mp4() -> None:
    noise = list(np.random.default_rng(1).integers(0, 255, (4, 64, 96), dtype=np.uint8))

    assert len(film_of(noise, "video/mp4", 10)) < len(film_of(noise, "video/mp4", 90))


def test_browsers_show_a_gif_at_no_more_than_fifty_frames_a_second() -> None:
    film = opened_film(Encoding("image/gif"), (5.0, 5.0))
    for one in frames()[:2]:
        film.add(one)

    assert seen(film.finish(), "image/gif")[1] == [20, 20]


def test_the_libraries_that_come_with_the_appliance_make_all_films() -> None:
    assert film_types() == ("image/gif", "image/webp", "video/mp4")
