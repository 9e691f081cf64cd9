"""Encoded pictures are decoded again by another library and compared with what went in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest

from appliance.domain.views import Encoding
from appliance.rendering.encoders import encode

DECODERS: dict[str, Callable[[bytes], Any]] = {
    "image/png": imagecodecs.png_decode,
    "image/jpeg": imagecodecs.jpeg8_decode,
    "image/webp": imagecodecs.webp_decode,
    "image/jxl": imagecodecs.jpegxl_decode,
}


def picture(*, is_colour: bool) -> np.ndarray:
    y, x = np.mgrid[:70, :101]
    waves = [127 + 120 * np.sin(x / 9 + phase) * np.cos(y / 7) for phase in range(3)]
    return np.stack(waves, -1).astype(np.uint8) if is_colour else waves[0].astype(np.uint8)


def decoded(body: bytes, media_type: str, like: np.ndarray) -> np.ndarray:
    pixels = np.asarray(DECODERS[media_type](body))
    return pixels[..., 0] if pixels.ndim > like.ndim else pixels


@pytest.mark.parametrize("is_colour", [False, True])
@pytest.mark.parametrize("media_type", ["image/png", "image/webp", "image/jxl"])
def test_without_a_quality_nothing_is_lost(media_type: Any, is_colour: bool) -> None:
    pixels = picture(is_colour=is_colour)

    body = encode(pixels, Encoding(media_type))

    assert np.array_equal(decoded(body, media_type, pixels), pixels)


@pytest.mark.parametrize("is_colour", [False, True])
@pytest.mark.parametrize("media_type", ["image/jpeg", "image/webp", "image/jxl"])
def test_quality_trades_bytes_for_likeness(media_type: Any, is_colour: bool) -> None:
    pixels = picture(is_colour=is_colour)

    rough, fine = (encode(pixels, Encoding(media_type, quality)) for quality in (30, 90))

    assert len(rough) < len(fine)
    assert np.abs(decoded(fine, media_type, pixels).astype(int) - pixels).mean() < 3


def test_grey_jpeg_has_one_component() -> None:
    assert imagecodecs.jpeg8_decode(encode(picture(is_colour=False), Encoding("image/jpeg"))).ndim == 2
