"""Encoded pictures are decoded again by another library and compared with what went in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest

from appliance.domain.views import Encoding
from appliance.rendering.encoders import encode, media_types

DECODERS: dict[str, Callable[[bytes], Any]] = {
    "image/png": imagecodecs.png_decode,
    "image/jpeg": imagecodecs.jpeg8_decode,
    "image/webp": imagecodecs.webp_decode,
    "image/jxl": imagecodecs.jpegxl_decode,
    "image/avif": imagecodecs.avif_decode,
    "image/jls": imagecodecs.jpegls_decode,
}


def picture(*, is_colour: bool) -> np.ndarray:
    y, x = np.mgrid[:70, :101]
    waves = [127 + 120 * np.sin(x / 9 + phase) * np.cos(y / 7) for phase in range(3)]
    return np.stack(waves, -1).astype(np.uint8) if is_colour else waves[0].astype(np.uint8)


def decoded(body: bytes, media_type: str, like: np.ndarray) -> np.ndarray:
    pixels = np.asarray(DECODERS[media_type](body))
    return pixels[..., 0] if pixels.ndim > like.ndim else pixels


@pytest.mark.parametrize("is_colour", [False, True])
@pytest.mark.parametrize("media_type", ["image/png", "image/webp", "image/jxl", "image/avif", "image/jls"])
def test_without_a_quality_nothing_is_lost(media_type: Any, is_colour: bool) -> None:
    pixels = picture(is_colour=is_colour)

    body = encode(pixels, Encoding(media_type))

    assert np.array_equal(decoded(body, media_type, pixels), pixels)


@pytest.mark.parametrize("is_colour", [False, True])
@pytest.mark.parametrize("media_type", ["image/jpeg", "image/webp", "image/jxl", "image/avif"])
def test_quality_trades_bytes_for_likeness(media_type: Any, is_colour: bool) -> None:
    pixels = picture(is_colour=is_colour)

    rough, fine = (encode(pixels, Encoding(media_type, quality)) for quality in (30, 90))

    assert len(rough) < len(fine)
    assert np.abs(decoded(fine, media_type, pixels).astype(int) - pixels).mean() < 3


@pytest.mark.parametrize("quality", [None, 80])
@pytest.mark.parametrize("media_type", ["image/jpeg", "image/png", "image/jxl", "image/avif", "image/jls"])
def test_grey_stays_one_channel(media_type: Any, quality: int | None) -> None:
    body = encode(picture(is_colour=False), Encoding(media_type, quality))

    assert np.squeeze(DECODERS[media_type](body)).ndim == 2


def test_the_libraries_that_come_with_the_appliance_make_all_formats() -> None:
    assert media_types() == ("image/jpeg", "image/png", "image/webp", "image/avif", "image/jxl", "image/jls")
